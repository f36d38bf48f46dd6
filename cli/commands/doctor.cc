// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "agent/observer.h"
#include "commands/commands.h"
#include "commands/output.h"
#include "exit_status.h"
#include "say.h"
#include "sources/agent_source.h"
#include "sources/sock_diag.h"

namespace conntrace::cli {
namespace {

/// One thing that conntrace wants of the machine.
struct Check {
  std::string name;
  bool works = false;
  std::string found;
  std::string lost;        ///< without it
  std::string fix;         ///< the command or setting that brings it; empty: none is known
  bool privilege = false;  ///< it is this user who may not, not the machine that cannot
};

constexpr std::uint64_t kCapNetAdmin = 12;
constexpr std::uint64_t kCapSysPtrace = 19;
constexpr std::uint64_t kCapSysAdmin = 21;
constexpr std::uint64_t kCapPerfmon = 38;
constexpr std::uint64_t kCapBpf = 39;

std::uint64_t effective_capabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) return std::stoull(line.substr(7), nullptr, 16);
  }
  return 0;
}

Check check_kernel() {
  utsname name{};
  ::uname(&name);
  unsigned major = 0;
  unsigned minor = 0;
  char dot = 0;
  std::istringstream(name.release) >> major >> dot >> minor;
  return {.name = "kernel",
          .works = major > 6 || (major == 6 && minor >= 1),
          .found = name.release,
          .lost = "kernel facts are made for Linux 6.1 and newer; older ones are not tested",
          .fix = "install a newer kernel"};
}

Check check_btf() {
  const bool works = ::access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  return {.name = "BTF",
          .works = works,
          .found = works ? "/sys/kernel/btf/vmlinux" : "/sys/kernel/btf/vmlinux is not there",
          .lost = "all kernel facts: the programs are fitted to the kernel by it",
          .fix = "boot a kernel with CONFIG_DEBUG_INFO_BTF=y"};
}

Check check_cgroup2() {
  std::ifstream mounts("/proc/mounts");
  std::string device;
  std::string point;
  std::string type;
  for (std::string rest; mounts >> device >> point >> type && std::getline(mounts, rest);) {
    if (type == "cgroup2") return {.name = "cgroup2", .works = true, .found = point};
  }
  return {.name = "cgroup2",
          .found = "not mounted",
          .lost = "DNS packets of a process, and cgroup names",
          .fix = "mount -t cgroup2 none /sys/fs/cgroup",
          .privilege = false};
}

Check check_capabilities() {
  const std::uint64_t have = effective_capabilities();
  std::string missing;
  const auto need = [&](std::uint64_t bit, const char* name) {
    const bool has =
        (have >> bit & 1) != 0 || (bit != kCapNetAdmin && bit != kCapSysPtrace && (have >> kCapSysAdmin & 1) != 0);
    if (!has) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  need(kCapBpf, "CAP_BPF");
  need(kCapPerfmon, "CAP_PERFMON");
  need(kCapNetAdmin, "CAP_NET_ADMIN");
  need(kCapSysPtrace, "CAP_SYS_PTRACE");
  return {.name = "capabilities",
          .works = missing.empty(),
          .found = missing.empty() ? "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_PTRACE" : "missing: " + missing,
          .lost = "kernel facts, and processes of other users",
          .fix = "sudo conntrace doctor",
          .privilege = true};
}

Check check_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return {.name = "RLIMIT_NOFILE",
          .works = limit.rlim_cur >= 256,
          .found = fmt::format("{} (hard {})", limit.rlim_cur, limit.rlim_max),
          .lost = "watching many processes at once: each takes two descriptors",
          .fix = "ulimit -n 1024"};
}

Check check_sock_diag() {
  const auto sockets = dump_tcp_sockets();
  return {.name = "sock_diag",
          .works = sockets.has_value(),
          .found = sockets ? fmt::format("{} TCP sockets in this network namespace", sockets->size())
                           : sockets.error().message(),
          .lost = "sockets of processes that are watched without privilege",
          .fix = "modprobe tcp_diag"};
}

Check check_build() {
  return {.name = "BPF programs",
          .works = agent::built_with_bpf(),
          .found = agent::built_with_bpf() ? "in this build" : "left out of this build",
          .lost = "all kernel facts",
          .fix = "meson setup --reconfigure build -Dbpf=enabled && ninja -C build"};
}

std::vector<Check> check_everything() {
  std::vector<Check> checks{check_kernel(),      check_btf(),       check_cgroup2(), check_capabilities(),
                            check_descriptors(), check_sock_diag(), check_build()};
  const bool permitted = checks[3].works;
  if (!agent::built_with_bpf()) return checks;
  for (const agent::HookProbe& probe : agent::probe_hooks()) {
    checks.push_back({.name = probe.name,
                      .works = probe.works,
                      .found = probe.works ? "attaches" : probe.error,
                      .lost = probe.gives,
                      .fix = permitted ? "" : "sudo conntrace doctor",
                      .privilege = !permitted});
  }
  return checks;
}

/// 0 all works; 77 only privileges are missing; 1 the machine or the build lacks something.
int status_of(const std::vector<Check>& checks) {
  int status = kDone;
  for (const Check& check : checks) {
    if (check.works) continue;
    if (!check.privilege) return kFailed;
    status = kPrivilegesMissing;
  }
  return status;
}

int doctor(bool json) {
  const std::vector<Check> checks = check_everything();
  auto output = Output::open("");
  if (!output) return kFailed;
  const int status = status_of(checks);
  if (json) {
    nlohmann::ordered_json document{{"version", CONNTRACE_VERSION}, {"status", status}};
    document["agent"] = {{"socket", agent::agent_socket_path()}, {"listens", AgentSource::listens()}};
    for (const Check& check : checks) {
      nlohmann::ordered_json entry{{"name", check.name}, {"works", check.works}, {"found", check.found}};
      entry["lost"] = nullptr;
      entry["fix"] = nullptr;
      if (!check.works) entry["lost"] = check.lost;
      if (!check.works && !check.fix.empty()) entry["fix"] = check.fix;
      document["checks"].push_back(std::move(entry));
    }
    output->write(document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    return output->finish(status);
  }
  for (const Check& check : checks) {
    output->write(fmt::format("{:<4} {:<36} {}\n", check.works ? "ok" : "no", check.name, check.found));
    if (check.works) continue;
    output->write(fmt::format("     lost without it: {}\n", check.lost));
    if (!check.fix.empty()) output->write(fmt::format("     to fix it: {}\n", check.fix));
  }
  output->write(AgentSource::listens()
                    ? fmt::format("conntrace-agent listens at {}: every user may see the kernel's part of his own "
                                  "processes.\n",
                                  agent::agent_socket_path())
                    : fmt::format("No conntrace-agent listens at {}; while one runs (sudo conntrace-agent), no "
                                  "privileges are needed.\n",
                                  agent::agent_socket_path()));
  output->write(status == kDone ? "Everything works: conntrace watch shows library and kernel facts.\n"
                : status == kPrivilegesMissing
                    ? "This user may not load kernel programs: conntrace watch shows library events and polls /proc.\n"
                    : "Something is missing: conntrace watch shows what is left, and says what it cannot.\n");
  return output->finish(status);
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("doctor", "Say what this machine allows, and what is lost by what it does not");
  command->add_flag("--json", *json, "one JSON object on stdout");
  command->footer(
      "Exit status: 0 all works; 77 only privileges are missing; 1 the machine or the build lacks something.");
  command->callback([json, &action] { action = [json] { return doctor(*json); }; });
}

}  // namespace conntrace::cli
