// SPDX-License-Identifier: Apache-2.0
#include "sources/stopped_child.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

namespace conntrace::cli {
namespace {

Result<std::pair<UniqueFd, UniqueFd>> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Failure(system_error(errno, "pipe"));
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

/// In the child. Only async-signal-safe calls.
[[noreturn]] void wait_and_execute(int start, int failure, char* const* arguments, bool stdout_to_stderr) {
  char go = 0;
  while (::read(start, &go, 1) < 0 && errno == EINTR) {
  }
  if (go == 0) ::_exit(0);  // the parent gave up
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (stdout_to_stderr) ::dup2(STDERR_FILENO, STDOUT_FILENO);
  ::execvp(arguments[0], arguments);
  const int error_number = errno;
  [[maybe_unused]] const ssize_t written = ::write(failure, &error_number, sizeof(error_number));
  ::_exit(127);
}

}  // namespace

Result<std::unique_ptr<StoppedChild>> StoppedChild::fork(const std::vector<std::string>& command,
                                                         bool stdout_to_stderr) {
  auto start = make_pipe();
  auto failure = make_pipe();
  if (!start) return Failure(std::move(start.error()));
  if (!failure) return Failure(std::move(failure.error()));
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  const pid_t pid = ::fork();
  if (pid < 0) return Failure(system_error(errno, "fork"));
  if (pid == 0) {
    start->second.reset();  // so that the end of the parent is seen
    wait_and_execute(start->first.get(), failure->second.get(), arguments.data(), stdout_to_stderr);
  }
  return std::unique_ptr<StoppedChild>(
      new StoppedChild(pid, command.front(), std::move(start->second), std::move(failure->first)));
}

StoppedChild::StoppedChild(pid_t pid, std::string name, UniqueFd start, UniqueFd failure)
    : pid_(pid), name_(std::move(name)), start_(std::move(start)), failure_(std::move(failure)) {}

StoppedChild::~StoppedChild() {
  if (gone_ || status_) return;
  start_.reset();
  ::waitpid(pid_, nullptr, 0);
}

Result<void> StoppedChild::go() {
  const char byte = 1;
  if (::write(start_.get(), &byte, 1) != 1) return Failure(system_error(errno, "start " + name_));
  start_.reset();
  gone_ = true;
  int error_number = 0;
  ssize_t got = 0;
  do {
    got = ::read(failure_.get(), &error_number, sizeof(error_number));
  } while (got < 0 && errno == EINTR);
  failure_.reset();
  if (got != sizeof(error_number)) return {};
  ::waitpid(pid_, nullptr, 0);
  status_ = 127;
  return Failure(system_error(error_number, name_));
}

std::optional<int> StoppedChild::exit_status() {
  int status = 0;
  if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return status_;
}

}  // namespace conntrace::cli
