// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/command.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/daemon/capabilities.h"
#include "agent/daemon/daemon.h"
#include "agent/daemon/request.h"
#include "agent/observer.h"
#include "conntrace/unique_fd.h"

namespace conntrace::agent {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;
constexpr int kPrivilegesMissing = 77;
constexpr timeval kPatience{.tv_sec = 20, .tv_usec = 0};

template <class... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  fmt::print(stderr, "conntrace-agent: {}\n", fmt::format(text, std::forward<Args>(args)...));
}

int failed(const Error& error) {
  say("{}", error.message());
  return error.code == std::errc::operation_not_permitted ? kPrivilegesMissing : kFailed;
}

/// What the daemon at this socket says of itself.
int print_status(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path) return failed(system_error(ENAMETOOLONG, path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return failed(system_error(errno, "socket"));
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failed(system_error(errno, path + ": no agent answers there"));
  }
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  const std::string request = fmt::format("{{\"schema\":\"{}\",\"request\":\"status\"}}\n", kAgentSchema);
  if (send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return failed(system_error(errno, "ask " + path));
  }
  std::string answer;
  std::array<char, 4096> bytes;
  ssize_t got = 0;
  while ((got = recv(socket.get(), bytes.data(), bytes.size(), 0)) > 0) {
    answer.append(bytes.data(), static_cast<std::size_t>(got));
  }
  if (got < 0) return failed(system_error(errno == EAGAIN ? ETIMEDOUT : errno, "ask " + path));
  const auto status = nlohmann::json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object() || status.contains("error")) {
    say("{} answers: {}", path, answer.empty() ? "nothing" : answer);
    return kFailed;
  }
  const bool written = fwrite(answer.data(), 1, answer.size(), stdout) == answer.size() && fflush(stdout) == 0;
  return written ? kDone : failed(system_error(errno, "standard output"));
}

/// The last folder of the path, if it is not there, as systemd's RuntimeDirectory is. Then as many descriptors as may
/// be.
Result<void> prepare(const std::string& socket_path) {
  const std::filesystem::path folder = std::filesystem::absolute(socket_path).parent_path();
  if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return Failure(system_error(errno, fmt::format("make the folder {}", folder.string())));
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return Failure(system_error(errno, "raise RLIMIT_NOFILE"));
  return {};
}

int serve(const DaemonOptions& options) {
  if (!built_with_bpf()) {
    say("this build has no BPF programs (-Dbpf=enabled)");
    return kFailed;
  }
  if (auto prepared = prepare(options.socket_path); !prepared) return failed(prepared.error());
  if (auto kept = keep_needed_capabilities(); !kept) return failed(kept.error());
  umask(0);  // the socket is for everybody
  auto daemon = Daemon::open(options);
  if (!daemon) return failed(daemon.error());
  say("listening at {}", options.socket_path);
  if (auto run = (*daemon)->run(); !run) return failed(run.error());
  return kDone;
}

}  // namespace

int run_agent(int argc, char** argv) {
  CLI::App app(
      "Lets users of this machine see what the kernel sees of their processes' connections, names and descriptors.",
      "conntrace-agent");
  app.footer(
      "  sudo conntrace-agent                then, as anybody: conntrace watch --pid PID\n"
      "  conntrace-agent --status            what it does, for whom, and what it cost");
  DaemonOptions options{.socket_path = agent_socket_path()};
  bool status = false;
  app.add_option("--socket", options.socket_path, "where it listens")->capture_default_str();
  app.add_option("--ring-bytes", options.observer.ring_bytes, "kernel memory for events on their way; a power of two")
      ->capture_default_str();
  app.add_option("--client-bytes", options.buffer_bytes,
                 "what may wait for a client that is slow, before it loses events")
      ->capture_default_str();
  app.add_flag("!--no-dns", options.observer.dns, "do not look at DNS");
  app.add_flag("!--no-fd-failures", options.observer.fd_failures,
               "do not look at system calls that fail for want of descriptors, which costs each call of the machine "
               "about 100 ns");
  app.add_flag("--status", status, "ask the daemon that runs; one line of JSON");
  app.set_version_flag("--version", "conntrace-agent " CONNTRACE_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kWrongUsage;
  }
  return status ? print_status(options.socket_path) : serve(options);
}

}  // namespace conntrace::agent
