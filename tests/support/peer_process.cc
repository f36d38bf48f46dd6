// SPDX-License-Identifier: Apache-2.0
#include "support/peer_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "support/deadline.h"

namespace conntrace::test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool accepts(std::uint16_t port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

std::string find_program(const std::string& name) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/local/bin/"}) {
    const std::string path = folder + name;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

PeerProcess::PeerProcess(const std::vector<std::string>& command, std::uint16_t port) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    const int out = open(log_.path().c_str(), O_WRONLY | O_APPEND);
    const int in = open("/dev/null", O_RDONLY);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execv(arguments.front(), arguments.data());
    _exit(127);
  }
  const bool up = testing::eventually([&] { return accepts(port) || waitpid(pid_, nullptr, WNOHANG) == pid_; });
  if (up && accepts(port)) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  throw std::runtime_error(command.front() + " does not listen: " + log());
}

PeerProcess::~PeerProcess() {
  // Some have more to clean up than what goes with a process (squid: shared memory).
  kill(pid_, SIGTERM);
  if (testing::eventually([&] { return waitpid(pid_, nullptr, WNOHANG) == pid_; })) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string PeerProcess::log() const {
  std::ifstream file(log_.path());
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace conntrace::test
