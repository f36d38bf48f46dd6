// SPDX-License-Identifier: Apache-2.0
#include "sources/agent_source.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agent/observer.h"
#include "conntrace/clock.h"

namespace conntrace::cli {
namespace {

constexpr std::size_t kReadsAtOnce = 16;
constexpr std::size_t kMaxFirstLine = std::size_t{1} << 20;
/// Loading the programs takes the agent about a second, and more on a machine that is busy.
constexpr std::chrono::seconds kPatience(20);

std::string request_line(const std::vector<pid_t>& pids, bool all) {
  return nlohmann::json{{"schema", "conntrace.agent/1"}, {"request", "watch"}, {"pids", pids}, {"all", all}}.dump() +
         '\n';
}

/// Whether what listens there is root, this user, or whoever root gave the folder to, as systemd does.
bool is_credible(int socket, const std::string& path) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  if (peer.uid == 0 || peer.uid == ::geteuid()) return true;
  struct stat folder {};
  const std::string folder_path = std::filesystem::absolute(path).parent_path();
  return ::stat(folder_path.c_str(), &folder) == 0 && folder.st_uid == peer.uid &&
         (folder.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Result<UniqueFd> connect_to(const std::string& path) {
  const auto failed = [&](int error_number) { return Failure(system_error(error_number, "agent " + path)); };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return failed(ENAMETOOLONG);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return failed(errno);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return failed(errno);
  return socket;
}

/// 0, or why nothing came: ETIMEDOUT, or EINTR: `interrupt` became readable.
int wait_readable(int fd, int interrupt, MonoTime until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - mono_now()).count();
    std::array<pollfd, 2> entries{{{fd, POLLIN, 0}, {interrupt, POLLIN, 0}}};
    const int ready = ::poll(entries.data(), entries.size(), left > 0 ? static_cast<int>(left) : 0);
    if (ready > 0) return entries[0].revents != 0 ? 0 : EINTR;
    if (ready == 0) return ETIMEDOUT;
    if (errno != EINTR) return errno;
  }
}

}  // namespace

AgentSource::AgentSource(UniqueFd socket, std::string path, int interrupt, EventSink sink)
    : socket_(std::move(socket)),
      path_(std::move(path)),
      interrupt_(interrupt),
      sink_(std::move(sink)),
      reader_("agent " + path_) {}

Result<std::unique_ptr<AgentSource>> AgentSource::connect(const std::vector<pid_t>& pids, bool all, int interrupt,
                                                          EventSink sink) {
  const std::string path = agent::agent_socket_path();
  const auto failed = [&](int error_number) { return Failure(system_error(error_number, "agent " + path)); };
  auto connected = connect_to(path);
  if (!connected) return Failure(std::move(connected).error());
  UniqueFd socket = std::move(*connected);
  if (!is_credible(socket.get(), path)) {
    return Failure(system_error(
        EPERM, fmt::format("agent {}: neither root's nor this user's, nor of the owner of its folder", path)));
  }
  const std::string request = request_line(pids, all);
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return failed(errno);
  }
  std::unique_ptr<AgentSource> source(new AgentSource(std::move(socket), path, interrupt, std::move(sink)));
  if (auto begun = source->begin(); !begun) return Failure(std::move(begun).error());
  return source;
}

bool AgentSource::listens() { return connect_to(agent::agent_socket_path()).has_value(); }

Result<void> AgentSource::begin() {
  const MonoTime until = mono_now() + kPatience;
  while (!begun_) {
    if (const int error = wait_readable(socket_.get(), interrupt_, until)) {
      return Failure(system_error(error, "agent " + path_));
    }
    if (auto got = read(); !got) return Failure(std::move(got).error());
  }
  return {};
}

Result<AgentSource::Progress> AgentSource::read() {
  std::array<char, 64 * 1024> buffer;
  for (std::size_t i = 0; i < kReadsAtOnce; ++i) {
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Progress::drained;
    if (got <= 0) {
      if (auto ended = end(); !ended) return Failure(std::move(ended).error());
      return Progress::ended;
    }
    if (auto fed = feed({buffer.data(), static_cast<std::size_t>(got)}); !fed) return Failure(std::move(fed).error());
  }
  return Progress::more;
}

Result<void> AgentSource::feed(std::string_view bytes) {
  const auto take = [this](Event&& event) {
    if (get_if<EventKind::stream_end>(event) != nullptr) ended_in_order_ = true;
    sink_(event);
  };
  if (begun_) return reader_.feed(bytes, take);
  first_line_ += bytes;
  const std::size_t newline = first_line_.find('\n');
  if (newline == std::string::npos) {
    if (first_line_.size() <= kMaxFirstLine) return {};
    return Failure(system_error(EPROTO, "agent " + path_ + " says no line"));
  }
  const auto first = nlohmann::json::parse(first_line_.substr(0, newline), nullptr, /*allow_exceptions=*/false);
  if (first.is_object() && first.contains("error")) {
    const auto error_number = first.find("errno");
    const bool known = error_number != first.end() && error_number->is_number_integer();
    const std::string why = first["error"].is_string() ? first["error"].get<std::string>() : "no reason";
    return Failure(system_error(known ? error_number->get<int>() : EPROTO, "agent " + path_ + " refuses: " + why));
  }
  begun_ = true;
  return reader_.feed(std::exchange(first_line_, {}), take);
}

Result<void> AgentSource::end() {
  if (!begun_) return Failure(system_error(ECONNRESET, "agent " + path_ + " went away"));
  const auto finished = reader_.finish([this](Event&& event) { sink_(event); });
  if (!finished) return Failure(finished.error());
  if (!ended_in_order_) {
    // One at least: what the agent had not yet written when it ended is not known.
    const EventHeader header{.mono_ns = static_cast<std::uint64_t>(mono_now().count()), .source = Source::kernel};
    sink_(
        make_event<EventKind::gap>(header, {.lost = 1, .reason = GapReason::source_lost, .where = "conntrace-agent"}));
  }
  return {};
}

Result<void> AgentSource::finish() {
  ::shutdown(socket_.get(), SHUT_WR);
  const MonoTime until = mono_now() + kPatience;
  for (;;) {
    if (const int error = wait_readable(socket_.get(), interrupt_, until)) {
      return Failure(system_error(error, "agent " + path_));
    }
    const auto got = read();
    if (!got) return Failure(got.error());
    if (*got == Progress::ended) return {};
  }
}

}  // namespace conntrace::cli
