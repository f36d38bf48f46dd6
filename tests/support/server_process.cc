// SPDX-License-Identifier: Apache-2.0
#include "support/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <semaphore>
#include <stdexcept>
#include <system_error>

#include "support/scripted_server.h"

namespace conntrace::test {
namespace {

void answer(Peer& peer, std::counting_semaphore<>& held) {
  while (const auto head = peer.read_head()) {
    if (head->starts_with("GET /held")) held.acquire();
    peer.respond();
  }
}

[[noreturn]] void serve(int control, int report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::counting_semaphore<> held(0);
  const ScriptedServer server([&](Peer& peer, int) { answer(peer, held); });
  const std::uint16_t port = server.port();
  if (write(report, &port, sizeof port) != sizeof port) _exit(1);
  char byte = 0;
  while (read(control, &byte, 1) == 1) held.release();
  _exit(0);  // not the parent's destructors
}

}  // namespace

ServerProcess::ServerProcess() {
  std::array<int, 2> control{};
  std::array<int, 2> report{};
  if (pipe2(control.data(), O_CLOEXEC) != 0 || pipe2(report.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::system_category(), "pipe");
  }
  child_ = fork();
  if (child_ < 0) throw std::system_error(errno, std::system_category(), "fork");
  if (child_ == 0) {
    close(control[1]);
    serve(control[0], report[1]);
  }
  close(control[0]);
  close(report[1]);
  control_ = UniqueFd(control[1]);
  const UniqueFd port(report[0]);
  if (read(port.get(), &port_, sizeof port_) != sizeof port_) throw std::runtime_error("the server did not start");
}

ServerProcess::~ServerProcess() {
  kill(child_, SIGTERM);  // servers forked later have our end of the pipe, too
  int status = 0;
  waitpid(child_, &status, 0);
}

std::string ServerProcess::url(std::string_view path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
}

void ServerProcess::release() {
  if (write(control_.get(), "r", 1) != 1) throw std::system_error(errno, std::system_category(), "write");
}

}  // namespace conntrace::test
