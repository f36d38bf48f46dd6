// SPDX-License-Identifier: Apache-2.0
#include "transport/connect_attempts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/dialer.h"
#include "transport/socket_facts.h"

namespace conntrace::transport {
namespace {

constexpr std::size_t kMaxNamed = 16;

/// The number may belong to another socket by now; the cookie tells.
bool still_ours(const ConnectAttempt& attempt) {
  return attempt.cookie != 0 && socket_cookie(attempt.fd) == attempt.cookie;
}

bool has_connected(TcpState state) {
  return state != TcpState::NONE && state != TcpState::CLOSE && state != TcpState::SYN_SENT &&
         state != TcpState::SYN_RECV;
}

}  // namespace

std::string ConnectAttempt::what() const {
  switch (outcome) {
    case ConnectOutcome::connected: return "connected";
    case ConnectOutcome::lost_race: return "another address connected first";
    case ConnectOutcome::timed_out: return "timed out";
    case ConnectOutcome::abandoned: return "given up";
    case ConnectOutcome::failed:
    case ConnectOutcome::unknown: break;
  }
  if (!error.empty()) return error;
  if (error_number == 0) return "failed; libcurl does not say why";
  std::string why = std::strerror(error_number);
  if (!ports) return why;
  return fmt::format("{} ({}: {} sockets to it, {} local ports)", why,
                     ports->exhausted() ? "ports exhausted" : "ports are left", ports->sockets, ports->local_ports);
}

void ConnectAttempts::adopt(ConnectAttempt attempt) {
  attempts_.push_back(std::move(attempt));
  winner_ = attempts_.size() - 1;
}

void ConnectAttempts::begin(int fd, const std::string& address, bool ipv6) {
  ConnectAttempt& attempt = attempts_.emplace_back();
  attempt.fd = fd;
  attempt.cookie = socket_cookie(fd);
  attempt.address = address;
  attempt.network = ipv6 ? "tcp6" : "tcp4";
  observer_.on_connect_start(attempt, mono_now());
}

bool ConnectAttempts::look(int fd) {
  for (ConnectAttempt& attempt : attempts_) {
    if (attempt.fd != fd || attempt.done || !still_ours(attempt)) continue;
    const TcpState state = tcp_state(fd);
    if (has_connected(state)) {
      finish(attempt, ConnectOutcome::connected, 0);
      return true;
    }
    if (state != TcpState::CLOSE) return false;
    // Reading it clears it, but a socket in CLOSE stays dead for libcurl, too: it polls as hung up.
    int error_number = 0;
    socklen_t size = sizeof error_number;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size) != 0 || error_number == 0) return false;
    finish(attempt, ConnectOutcome::failed, error_number);
    return false;
  }
  return false;
}

bool ConnectAttempts::settle(int os_error) {
  bool connected = false;
  for (ConnectAttempt& attempt : attempts_) {
    if (attempt.done) continue;
    if (!still_ours(attempt)) {
      if (winner_ < attempts_.size()) {
        finish(attempt, ConnectOutcome::lost_race, ECANCELED);
      } else {
        // libcurl keeps the errno of the attempt that failed last; settling comes between any two.
        const bool timed_out = os_error == ETIMEDOUT;
        finish(attempt, timed_out ? ConnectOutcome::timed_out : ConnectOutcome::failed, os_error);
        os_error = 0;
      }
    } else if (winner_ >= attempts_.size() && has_connected(tcp_state(attempt.fd))) {
      finish(attempt, ConnectOutcome::connected, 0);
      connected = true;
    }
  }
  return connected;
}

void ConnectAttempts::end(ConnectOutcome outcome, int error_number) {
  for (ConnectAttempt& attempt : attempts_) {
    if (!attempt.done) finish(attempt, outcome, error_number);
  }
}

void ConnectAttempts::finish(ConnectAttempt& attempt, ConnectOutcome outcome, int error_number) {
  attempt.done = true;
  attempt.ended = mono_now();
  attempt.outcome = outcome;
  attempt.error_number = error_number;
  if (outcome == ConnectOutcome::failed && error_number == 0) attempt.outcome = ConnectOutcome::unknown;
  if (outcome == ConnectOutcome::connected) {
    winner_ = static_cast<std::size_t>(&attempt - attempts_.data());
    attempt.local = local_address(attempt.fd);
  }
  if (error_number == EADDRNOTAVAIL) attempt.ports = observer_.port_use(attempt.address);
  observer_.on_connect_done(attempt);
}

const ConnectAttempt* ConnectAttempts::winner() const {
  return winner_ < attempts_.size() ? &attempts_[winner_] : nullptr;
}

const ConnectAttempt* ConnectAttempts::choose(int fd) {
  for (ConnectAttempt& attempt : attempts_) {
    if (attempt.fd != fd || !still_ours(attempt)) continue;
    if (!attempt.done) finish(attempt, ConnectOutcome::connected, 0);  // it may have been reset since
    return winner();
  }
  return nullptr;
}

Error ConnectAttempts::failure(const std::string& hop, std::error_code libcurl) const {
  std::error_code code = libcurl;
  for (const ConnectAttempt& attempt : attempts_) {
    if (attempt.error_number == 0) continue;
    code = std::error_code(attempt.error_number, std::system_category());
    break;
  }
  if (attempts_.size() == 1) {
    const ConnectAttempt& only = attempts_.front();
    const std::string ports = only.ports ? " (" + only.what() + ")" : std::string();
    return {code, "connect " + only.address + ports, Phase::connect};
  }
  return {code, fmt::format("connect {} ({})", hop, described()), Phase::connect};
}

std::vector<std::string> ConnectAttempts::each() const {
  std::vector<std::string> tried;
  for (const ConnectAttempt& attempt : attempts_) {
    if (tried.size() == kMaxNamed) break;
    tried.push_back(attempt.address + ": " + attempt.what());
  }
  return tried;
}

std::string ConnectAttempts::described() const {
  std::string text = fmt::format("{}", fmt::join(each(), "; "));
  if (attempts_.size() > kMaxNamed) text += fmt::format("; and {} more", attempts_.size() - kMaxNamed);
  return text;
}

}  // namespace conntrace::transport
