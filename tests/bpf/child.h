// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <functional>
#include <stdexcept>
#include <system_error>

#include "conntrace/unique_fd.h"

namespace conntrace::bpftest {

/// A forked process that runs `body` and talks with the test through two pipes. An exception in it is exit status 99.
/// The destructor kills it if it still runs.
class Child {
 public:
  /// The child's ends of the pipes.
  struct Ends {
    int from_test;
    int to_test;

    template <class Value>
    void give(const Value& value) const {
      if (write(to_test, &value, sizeof value) != sizeof value) throw std::system_error(errno, std::system_category());
    }
    /// Until the test calls go_on() or goes away.
    void wait_for_test() const {
      char byte = 0;
      if (read(from_test, &byte, 1) < 0) throw std::system_error(errno, std::system_category());
    }
  };

  explicit Child(const std::function<int(const Ends&)>& body) {
    int to_child[2];
    int to_test[2];
    if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(to_test, O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::system_category(), "pipe2");
    }
    pid_ = fork();
    if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork");
    if (pid_ == 0) {
      close(to_child[1]);
      close(to_test[0]);
      int status = 99;
      try {
        status = body({to_child[0], to_test[1]});
      } catch (const std::exception&) {
      }
      _exit(status);
    }
    close(to_child[0]);
    close(to_test[1]);
    to_child_ = UniqueFd(to_child[1]);
    from_child_ = UniqueFd(to_test[0]);
  }
  ~Child() {
    if (waited_) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  template <class Value>
  [[nodiscard]] Value take() const {
    Value value{};
    if (read(from_child_.get(), &value, sizeof value) != sizeof value)
      throw std::runtime_error("the child ended early");
    return value;
  }
  void go_on() const {
    if (write(to_child_.get(), "", 1) != 1) throw std::system_error(errno, std::system_category());
  }
  /// The child reads the end of its input.
  void end_input() { to_child_.reset(); }
  /// As in wait(2).
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    waited_ = true;
    return status;
  }

 private:
  pid_t pid_ = 0;
  bool waited_ = false;
  UniqueFd to_child_;
  UniqueFd from_child_;
};

}  // namespace conntrace::bpftest
