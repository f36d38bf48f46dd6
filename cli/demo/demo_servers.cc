// SPDX-License-Identifier: Apache-2.0
#include "demo/demo_servers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <sstream>

#include "demo/private_network.h"
#include "dns_responder.h"
#include "origin_server.h"

namespace conntrace::cli {
namespace {

constexpr const char* kNameserver = "127.0.0.53";
constexpr const char* kName = "origin.test";  // RFC 6761: never a real name

/// A TCP port that is taken, so that nobody else gets it, but where nobody listens.
Result<std::pair<UniqueFd, std::uint16_t>> reserve_port() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return Failure(system_error(errno, "reserve a port"));
  }
  return std::pair(std::move(fd), ntohs(address.sin_port));
}

void send_line(int fd, const std::string& line) {
  [[maybe_unused]] const ssize_t written = ::write(fd, line.data(), line.size());
}

/// The child: serves until the parent closes `control`. Says "ports A B C D" on `report`, D being 1 if it answers DNS,
/// or "failed ERRNO what".
[[noreturn]] void serve(std::uint16_t port, bool with_dns, int report, int control) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto give_up = [&](const Error& error) {
    send_line(report, "failed " + std::to_string(error.code.value()) + " " + error.context + "\n");
    ::_exit(1);
  };
  auto origin = example::OriginServer::start({.port = port});
  if (!origin) give_up(origin.error());
  auto impatient = example::OriginServer::start({.idle_timeout = DemoServers::kIdleTimeout});
  if (!impatient) give_up(impatient.error());
  auto refused = reserve_port();
  if (!refused) give_up(refused.error());
  std::unique_ptr<example::DnsResponder> dns;
  if (with_dns) {
    auto started =
        example::DnsResponder::start({.address = kNameserver, .port = 53, .names = {{kName, {"127.0.0.1"}}}});
    if (started) dns = std::move(*started);
  }
  std::ostringstream ports;
  ports << "ports " << (*origin)->port() << ' ' << (*impatient)->port() << ' ' << refused->second << ' '
        << (dns ? 1 : 0) << '\n';
  send_line(report, ports.str());
  char byte = 0;
  while (::read(control, &byte, 1) < 0 && errno == EINTR) {
  }
  ::_exit(0);
}

std::string read_line(int fd) {
  std::string line;
  for (char byte = 0; line.empty() || line.back() != '\n';) {
    const ssize_t got = ::read(fd, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    line += byte;
  }
  return line;
}

/// Whether the resolver of this process gets the responder's answer.
bool resolves() {
  const addrinfo hints{.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (::getaddrinfo(kName, nullptr, &hints, &found) != 0) return false;
  ::freeaddrinfo(found);
  return true;
}

}  // namespace

Result<std::unique_ptr<DemoServers>> DemoServers::start(std::uint16_t port) {
  const bool private_network = enter_private_network(kNameserver).has_value();
  std::array<int, 2> report{};
  std::array<int, 2> control{};
  if (::pipe2(report.data(), O_CLOEXEC) != 0 || ::pipe2(control.data(), O_CLOEXEC) != 0) {
    return Failure(system_error(errno, "pipe"));
  }
  const UniqueFd report_read(report[0]);
  UniqueFd report_write(report[1]);
  UniqueFd control_read(control[0]);
  UniqueFd control_write(control[1]);
  const pid_t child = ::fork();
  if (child < 0) return Failure(system_error(errno, "fork"));
  if (child == 0) {
    control_write.reset();
    serve(port, private_network, report_write.get(), control_read.get());
  }
  report_write.reset();
  control_read.reset();
  std::unique_ptr<DemoServers> servers(new DemoServers(child, std::move(control_write)));

  std::istringstream line(read_line(report_read.get()));
  std::string word;
  line >> word;
  if (word != "ports") {
    int error_number = ECHILD;
    std::string what = "the servers did not start";
    line >> error_number >> std::ws;
    std::getline(line, what);
    return Failure(system_error(error_number, what));
  }
  line >> servers->port_ >> servers->impatient_port_ >> servers->refused_port_ >> servers->own_dns_;
  servers->own_dns_ = servers->own_dns_ && resolves();
  servers->name_ = servers->own_dns_ ? kName : "localhost";
  return servers;
}

DemoServers::~DemoServers() {
  control_.reset();
  ::waitpid(child_, nullptr, 0);
}

}  // namespace conntrace::cli
