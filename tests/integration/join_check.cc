// SPDX-License-Identifier: Apache-2.0
#include "join_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

namespace conntrace::test {
namespace {

using cli::ConnectionTimeline;
using cli::RequestTimeline;
using example::EndedBy;
using example::OriginConnection;

class Comparison {
 public:
  Comparison(const Timelines& timelines, const Evidence& evidence, bool kernel)
      : timelines_(timelines), evidence_(evidence), kernel_(kernel) {}

  std::vector<std::string> run() {
    every_request_has_one_timeline();
    for (const ConnectionTimeline& timeline : timelines_.connections) {
      if (timeline.closed && timeline.closed->by == ClosedBy::local) {
        fin_first_.insert({port_of(timeline.local.value_or("")), port_of(timeline.remote.value_or(""))});
      }
    }
    for (const RequestTimeline& timeline : timelines_.requests) check(timeline);
    for (const ConnectionTimeline& timeline : timelines_.connections) {
      if (timeline.direction != Direction::incoming) check_ours(timeline);
    }
    if (kernel_) {
      for (const ConnectionTimeline& timeline : timelines_.connections) {
        if (timeline.direction == Direction::incoming) check_theirs(timeline);
      }
    }
    every_connection_was_seen();
    return std::move(found_);
  }

 private:
  template <class A, class B>
  void same(const std::string& who, const char* what, const A& timeline, const B& word) {
    if (!(timeline == word))
      found_.push_back(fmt::format("{}: {} is {}, but should be {}", who, what, show(timeline), show(word)));
  }
  template <class T>
  static std::string show(const T& value) {
    return fmt::format("{}", value);
  }
  template <class T>
  static std::string show(const std::optional<T>& value) {
    return value ? show(*value) : "null";
  }
  static std::string show(ClosedBy value) { return std::string(to_string(value)); }
  static std::string show(CloseHow value) { return std::string(to_string(value)); }

  void every_request_has_one_timeline() {
    same("all", "number of request timelines", timelines_.requests.size(), evidence_.answers.size());
    std::set<std::uint64_t> numbers;
    for (const RequestTimeline& timeline : timelines_.requests) {
      const std::string who = fmt::format("request {}", timeline.request.number);
      same(who, "seen before", !numbers.insert(timeline.request.number).second, false);
      same(who, "complete", timeline.complete, true);
    }
  }

  void check(const RequestTimeline& timeline) {
    const std::uint64_t cookie_said = timeline.connection ? timeline.connection->cookie.value_or(0) : 0;
    const std::string who = fmt::format("request {} {} (cookie {})", timeline.request.number,
                                        timeline.request.url.value_or("?"), cookie_said);
    const auto answer = evidence_.answers.find(timeline.request.number);
    if (answer == evidence_.answers.end()) {
      found_.push_back(who + ": nobody sent it");
      return;
    }
    same(who, "failed", timeline.error.has_value(), !answer->second.has_value());
    if (timeline.connection)
      check_socket(who, timeline.connection->number, timeline.connection->cookie, timeline.connection->local,
                   timeline.connection->remote);
    if (!answer->second) return;
    const Response& response = *answer->second;
    same(who, "status", timeline.response ? timeline.response->status : 0, response.status);
    if (!timeline.connection) {
      found_.push_back(who + ": has a response and no connection");
      return;
    }
    same(who, "connection", timeline.connection->number, response.connection);

    // The server's word: "Origin-Connection: COOKIE/N".
    const std::string* signature = find_header(response.headers, "origin-connection");
    std::uint64_t cookie = 0;
    std::uint64_t number = 0;
    if (signature != nullptr) {
      const char* end = signature->data() + signature->size();
      const char* slash = std::from_chars(signature->data(), end, cookie).ptr;
      if (slash != end) std::from_chars(slash + 1, end, number);
    }
    const auto server = evidence_.by_server_cookie.find(cookie);
    if (number == 0 || server == evidence_.by_server_cookie.end()) {
      found_.push_back(who + ": the response is not signed by a server's connection");
      return;
    }
    same(who, "local port", port_of(timeline.connection->local.value_or("")), server->second.peer_port);
    same(who, "remote port", port_of(timeline.connection->remote.value_or("")), server->second.local_port);
    same(who, "reused", timeline.connection->reused, std::optional(number > 1));
    same(who, "requests_before", timeline.connection->requests_before, std::optional(number - 1));
  }

  /// Cookie and ports against what getsockopt, getsockname and sock_diag said.
  void check_socket(const std::string& who, std::uint64_t number, std::optional<std::uint64_t> cookie,
                    const std::optional<std::string>& local, const std::optional<std::string>& remote) {
    const auto socket = evidence_.sockets.find(number);
    if (socket == evidence_.sockets.end()) {
      found_.push_back(fmt::format("{}: connection {} had no socket", who, number));
      return;
    }
    same(who, "cookie", cookie, std::optional(socket->second.cookie));
    if (socket->second.ports.local == 0) return;  // it never connected
    const Ports ports{port_of(local.value_or("")), port_of(remote.value_or(""))};
    same(who, "local port", ports.local, socket->second.ports.local);
    same(who, "remote port", ports.remote, socket->second.ports.remote);
    if (const auto diag = evidence_.diag.find(ports); diag != evidence_.diag.end()) {
      same(who, "cookie", cookie, std::optional(diag->second));
      diag_used_.insert(ports);
    }
  }

  void check_ours(const ConnectionTimeline& timeline) {
    const std::string who =
        fmt::format("connection {} (cookie {})", timeline.number.value_or(0), timeline.cookie.value_or(0));
    if (!timeline.number) {
      found_.push_back(fmt::format("{}: a socket of the client that the library did not number", timeline.id));
      return;
    }
    same(who, "seen before", !ours_.insert(*timeline.number).second, false);
    same(who, "complete", timeline.complete, true);
    check_socket(who, *timeline.number, timeline.cookie, timeline.local, timeline.remote);
    const auto socket = evidence_.sockets.find(*timeline.number);
    if (socket == evidence_.sockets.end()) return;
    const auto server = evidence_.accepted.find(socket->second.ports);
    if (server == evidence_.accepted.end()) {
      if (socket->second.ports.local != 0) found_.push_back(who + ": connected, but no server accepted it");
      if (kernel_) same(who, "how", timeline.closed ? timeline.closed->how : CloseHow::unknown, CloseHow::refused);
      return;
    }
    // A request may cross the FIN that an idle timeout sends; nobody reads it there, and it is sent again elsewhere.
    const std::uint64_t sent = server->second.requests + (server->second.came_late ? 1 : 0);
    same(who, "requests", timeline.requests, std::optional(sent));
    same(who, "uses", timeline.uses.size(), sent);
    check_end(who, timeline, server->second, ClosedBy::local, ClosedBy::peer);
  }

  /// The accepted side of the same connection, which only the kernel saw.
  void check_theirs(const ConnectionTimeline& timeline) {
    const std::string who = fmt::format("accepted socket (cookie {})", timeline.cookie.value_or(0));
    const auto server = evidence_.by_server_cookie.find(timeline.cookie.value_or(0));
    if (server == evidence_.by_server_cookie.end()) {
      found_.push_back(who + ": no server accepted it");
      return;
    }
    same(who, "seen before", !theirs_.insert(*timeline.cookie).second, false);
    same(who, "local port", port_of(timeline.local.value_or("")), server->second.local_port);
    same(who, "remote port", port_of(timeline.remote.value_or("")), server->second.peer_port);
    check_end(who, timeline, server->second, ClosedBy::peer, ClosedBy::local);
  }

  void check_end(const std::string& who, const ConnectionTimeline& timeline, const OriginConnection& server,
                 ClosedBy if_client, ClosedBy if_server) {
    if (!timeline.closed) {
      found_.push_back(who + ": is said to live");
      return;
    }
    const ClosedBy by = server.ended_by == EndedBy::client ? if_client : if_server;
    const bool known = kernel_ || timeline.closed->by != ClosedBy::unknown;
    if (server.ended_by == EndedBy::unknown || crossed(timeline, server)) {
      ++undecided_;
    } else if (known) {
      same(who, "closed by", timeline.closed->by, by);
      if (kernel_)
        same(who, "library and kernel disagree", has_finding(timeline, FindingCode::sources_disagree), false);
    }
    if (kernel_ && server.reset) {
      same(who, "closed how", timeline.closed->how, by == ClosedBy::local ? CloseHow::abort : CloseHow::reset);
    }
  }

  /// After "Connection: close", said by either, both sides close, and their FINs may cross: then each was first at its
  /// own end. The kernel shows that by both ends of the connection; without it this cannot be told from a lie, so only
  /// those reasons may.
  bool crossed(const ConnectionTimeline& timeline, const OriginConnection& server) const {
    if (server.ended_by != EndedBy::server || server.reset) return false;
    if (kernel_)
      return fin_first_.contains({server.peer_port, server.local_port}) &&
             fin_first_.contains({server.local_port, server.peer_port});
    return timeline.closed->by == ClosedBy::local &&
           (timeline.closed->reason == CloseReason::connection_close_response ||
            timeline.closed->reason == CloseReason::connection_close_request);
  }

  static bool has_finding(const ConnectionTimeline& timeline, FindingCode code) {
    return std::any_of(timeline.findings.begin(), timeline.findings.end(),
                       [code](const cli::Finding& finding) { return finding.code == to_string(code); });
  }

  void every_connection_was_seen() {
    // A server cannot tell when both FINs have come and gone between two of its looks. That and crossing must stay
    // rare.
    same("all", "it is mostly known who closed", undecided_ * 4 <= evidence_.accepted.size(), true);
    same("all", "connections of the client", ours_.size(), evidence_.sockets.size());
    if (kernel_) same("all", "connections of the servers", theirs_.size(), evidence_.accepted.size());
    for (const auto& [ports, cookie] : evidence_.diag) {
      if (!diag_used_.contains(ports))
        found_.push_back(fmt::format("sock_diag saw port {}, no timeline did", ports.local));
    }
  }

  const Timelines& timelines_;
  const Evidence& evidence_;
  const bool kernel_;
  std::set<std::uint64_t> ours_;
  std::set<std::uint64_t> theirs_;
  std::set<Ports> diag_used_;
  std::set<Ports> fin_first_;  ///< ends that sent a FIN or RST before they saw one
  std::size_t undecided_ = 0;
  std::vector<std::string> found_;
};

}  // namespace

cli::TimelineSink Timelines::sink() {
  cli::TimelineSink sink;
  sink.request = [this](const RequestTimeline& timeline) { requests.push_back(timeline); };
  sink.connection = [this](const ConnectionTimeline& timeline) { connections.push_back(timeline); };
  sink.process = [](const cli::ProcessTimeline&) {};
  return sink;
}

std::vector<std::string> mismatches(const Timelines& timelines, const Evidence& evidence, bool kernel) {
  return Comparison(timelines, evidence, kernel).run();
}

std::string records_behind(const std::vector<std::string>& mismatches, std::string_view records) {
  constexpr std::string_view kMark = "(cookie ";
  std::set<std::string> wanted;
  for (const std::string& text : mismatches) {
    const std::size_t mark = text.find(kMark);
    if (mark == std::string::npos) continue;
    const std::size_t begin = mark + kMark.size();
    wanted.insert("\"cookie\":" + text.substr(begin, text.find(')', begin) - begin) + ",");
  }
  std::string found;
  while (!records.empty()) {
    const std::string_view line = records.substr(0, records.find('\n') + 1);
    if (line.empty()) break;
    records.remove_prefix(line.size());
    const auto is_in_line = [&](const std::string& cookie) { return line.find(cookie) != std::string_view::npos; };
    if (std::any_of(wanted.begin(), wanted.end(), is_in_line)) found += line;
  }
  return found;
}

}  // namespace conntrace::test
