// SPDX-License-Identifier: Apache-2.0
#include "oracle/go_player.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "support/deadline.h"

namespace conntrace::test {
namespace {

std::array<UniqueFd, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

pid_t spawn(const std::string& program, int input, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  std::string name = program;
  std::array<char*, 2> arguments{name.data(), nullptr};
  // Its own environment: no proxy, no debugging switch of the caller's.
  std::array<char*, 1> environment{nullptr};
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::system_error(failed, std::system_category(), program);
  return pid;
}

}  // namespace

GoPlayer::GoPlayer(const std::string& program, const TransportOptions& options) {
  signal(SIGPIPE, SIG_IGN);
  std::array<UniqueFd, 2> to = make_pipe();
  std::array<UniqueFd, 2> from = make_pipe();
  pid_ = spawn(program, to[0].get(), from[1].get());
  input_ = std::move(to[1]);
  output_ = std::move(from[0]);
  reader_ = std::thread([this] { read_all(); });
  tell({{"max_idle_conns", options.max_idle_conns},
        {"max_idle_conns_per_host", options.max_idle_conns_per_host},
        {"max_conns_per_host", options.max_conns_per_host},
        {"idle_conn_timeout", options.idle_conn_timeout.count()},
        {"expect_continue_timeout", options.expect_continue_timeout.count()},
        {"disable_keep_alives", options.disable_keep_alives},
        {"ca_file", options.tls.ca_file}});
}

GoPlayer::~GoPlayer() {
  if (pid_ > 0) (void)end();
}

void GoPlayer::start(int number, const Request& request) {
  tell({{"do", "start"},
        {"request", number},
        {"method", request.method},
        {"url", request.url},
        {"headers", request.headers},
        {"body_bytes", request.body.size()}});
  write_all(request.body);
}

void GoPlayer::cancel(int number) { tell({{"do", "cancel"}, {"request", number}}); }

void GoPlayer::close_idle_connections() { tell({{"do", "close_idle"}}); }

Look GoPlayer::look() {
  {
    const std::lock_guard lock(mutex_);
    look_.reset();
  }
  tell({{"do", "look"}});
  std::optional<Look> seen;
  const auto answered = [&] {
    const std::lock_guard lock(mutex_);
    seen = look_;
    return seen.has_value();
  };
  if (!testing::eventually(answered)) throw std::runtime_error("the oracle does not answer");
  return *seen;
}

std::vector<std::string> GoPlayer::lines(int number) {
  const std::lock_guard lock(mutex_);
  return lines_[number];
}

std::string GoPlayer::end() {
  input_.reset();  // it ends at the end of its input
  int status = 0;
  const bool ended = testing::eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; });
  if (!ended) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status, 0);
  }
  pid_ = -1;
  reader_.join();
  return status == 0 ? "" : "the oracle ended with status " + std::to_string(status);
}

void GoPlayer::tell(const nlohmann::json& line) { write_all(line.dump() + "\n"); }

void GoPlayer::write_all(std::string_view text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t wrote = write(input_.get(), text.data() + done, text.size() - done);
    if (wrote <= 0) throw std::system_error(errno, std::system_category(), "the oracle is gone");
    done += static_cast<std::size_t>(wrote);
  }
}

void GoPlayer::read_all() {
  std::string held;
  std::array<char, 4096> data{};
  for (;;) {
    const ssize_t got = read(output_.get(), data.data(), data.size());
    if (got <= 0) return;
    held.append(data.data(), static_cast<std::size_t>(got));
    for (std::size_t end = held.find('\n'); end != std::string::npos; end = held.find('\n')) {
      read_line(held.substr(0, end));
      held.erase(0, end + 1);
    }
  }
}

void GoPlayer::read_line(const std::string& line) {
  std::istringstream words(line);
  int number = 0;
  std::string first;
  words >> number >> first;
  const std::lock_guard lock(mutex_);
  if (first != "look") {
    lines_[number].push_back(line.substr(line.find(' ') + 1));
    return;
  }
  Look seen;
  words >> seen.waiting >> seen.dialling >> seen.open;
  look_ = seen;
}

}  // namespace conntrace::test
