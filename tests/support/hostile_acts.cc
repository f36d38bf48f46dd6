// SPDX-License-Identifier: Apache-2.0
#include "support/hostile_acts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <random>
#include <thread>

#include "support/scripted_server.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;

struct ActRow {
  std::string_view name;
  bool whole;
};
#define CONNTRACE_ACT_ROW(name, whole) ActRow{#name, whole},
constexpr std::array kRows = {CONNTRACE_HOSTILE_ACTS(CONNTRACE_ACT_ROW)};
#undef CONNTRACE_ACT_ROW

/// The value of a field whose name is written as libcurl's and our own clients write it.
std::string field(const std::string& head, const std::string& name) {
  const std::size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const std::size_t from = at + name.size() + 4;
  return head.substr(from, head.find("\r\n", from) - from);
}

/// The bytes of the request's body, or nothing if the client ended first.
std::optional<std::size_t> read_body(Peer& peer, const std::string& head, std::uint64_t number) {
  // Some clients are told to go on, the others find out by themselves that they have waited long enough.
  if (!field(head, "Expect").empty() && number % 2 == 0) peer.write("HTTP/1.1 100 Continue\r\n\r\n");
  if (const std::string length = field(head, "Content-Length"); !length.empty()) {
    const std::size_t size = std::stoul(length);
    return peer.read_bytes(size).size() == size ? std::optional(size) : std::nullopt;
  }
  if (field(head, "Transfer-Encoding").empty()) return 0;
  std::size_t total = 0;
  for (;;) {
    const auto line = peer.read_until("\r\n");
    if (!line) return std::nullopt;
    const std::size_t size = std::stoul(*line, nullptr, 16);
    if (peer.read_bytes(size + 2).size() != size + 2) return std::nullopt;
    if (size == 0) return total;
    total += size;
  }
}

class Performance {
 public:
  Performance(Peer& peer, const Errand& errand, std::size_t received, bool to_head)
      : peer_(peer),
        errand_(errand),
        random_(static_cast<unsigned>(errand.number * 2654435761u) + 1),
        received_(received),
        to_head_(to_head),
        body_(to_head ? std::string() : body_text(errand)) {}

  bool run() {
    switch (errand_.act) {
      case Act::sized: return whole();
      case Act::chunked: return chunks(true);
      case Act::until_close: peer_.write(head() + "\r\n" + body_); return end();
      case Act::close_after: peer_.write(sized_head("Connection: close\r\n") + body_); return end();
      case Act::close_unsaid: whole(); return end();
      case Act::reset_idle:
        whole();
        pause();
        return abort();
      case Act::linger: whole(); return peer_.readable(milliseconds(random_() % 4)) || end();
      case Act::interim:
        peer_.write("HTTP/1.1 102 Processing\r\n\r\n");
        if (random_() % 2 == 0) pause();
        peer_.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        return whole();
      case Act::slow: return slowly();
      case Act::redirect:
        peer_.write("HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: " +
                    path_of({Act::sized, errand_.number, errand_.size}) + "\r\n\r\n");
        return true;
      case Act::unavailable: peer_.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"); return true;
      case Act::early:
        peer_.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return end();
      case Act::fin_before_head: return end();
      case Act::reset_before_head: return abort();
      case Act::fin_in_head: peer_.write(part(head())); return end();
      case Act::reset_in_head: peer_.write(part(head())); return abort();
      case Act::reset_in_body: peer_.write(sized_head() + part(body_)); return abort();
      case Act::cut_body: peer_.write(sized_head() + part(body_)); return end();
      case Act::cut_chunk: return chunks(false);
      case Act::garbage_head: peer_.write("SSH-2.0-OpenSSH_9.2\r\n\r\n"); return end();
      case Act::garbage_chunk: peer_.write(head() + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"); return end();
      case Act::two_lengths: peer_.write(sized_head("Content-Length: 1\r\n") + body_); return end();
      case Act::silent: break;
      case Act::stuck: peer_.write(sized_head() + part(body_)); break;
    }
    peer_.read_to_end();
    return end();
  }

 private:
  [[nodiscard]] std::string head() const {
    return "HTTP/1.1 200 OK\r\nX-Received: " + std::to_string(received_) + "\r\n";
  }
  [[nodiscard]] std::string sized_head(const std::string& more = {}) const {
    return head() + "Content-Length: " + std::to_string(to_head_ ? errand_.size : body_.size()) + "\r\n" + more +
           "\r\n";
  }
  /// A part of it that lacks at least one byte.
  std::string part(const std::string& text) { return text.substr(0, text.empty() ? 0 : random_() % text.size()); }
  void pause() { std::this_thread::sleep_for(std::chrono::microseconds(random_() % 2000)); }
  bool end() {
    peer_.close();
    return false;
  }
  bool abort() {
    peer_.reset();
    return false;
  }
  bool whole() {
    peer_.write(sized_head() + body_);
    return true;
  }
  bool slowly() {
    std::string_view left = body_;
    const std::string first = sized_head();
    peer_.write(std::string_view(first).substr(0, first.size() / 2));
    pause();
    peer_.write(std::string_view(first).substr(first.size() / 2));
    while (!left.empty()) {
      pause();
      const std::size_t size = std::min(left.size(), body_.size() / 3 + 1);
      peer_.write(left.substr(0, size));
      left.remove_prefix(size);
    }
    return true;
  }
  bool chunks(bool all) {
    std::string text = head() + "Transfer-Encoding: chunked\r\n\r\n";
    std::string_view left = body_;
    while (!left.empty()) {
      const std::size_t size = std::min<std::size_t>(left.size(), 1 + random_() % 5000);
      std::array<char, 16> hex{};
      const auto end = std::to_chars(hex.begin(), hex.end(), size, 16).ptr;
      text.append(hex.data(), end).append("\r\n").append(left.substr(0, size)).append("\r\n");
      left.remove_prefix(size);
    }
    if (to_head_) return peer_.write(head() + "Transfer-Encoding: chunked\r\n\r\n"), true;
    if (all) return peer_.write(text + "0\r\nX-Trailer: yes\r\n\r\n"), true;
    peer_.write(text + "5\r\n");
    return end();
  }

  Peer& peer_;
  const Errand errand_;
  std::minstd_rand random_;
  const std::size_t received_;
  const bool to_head_;
  const std::string body_;
};

}  // namespace

std::string_view name_of(Act act) { return kRows[static_cast<std::size_t>(act)].name; }
bool is_whole(Act act) { return kRows[static_cast<std::size_t>(act)].whole; }

std::string path_of(const Errand& errand) {
  return "/" + std::string(name_of(errand.act)) + "/" + std::to_string(errand.number) + "/" +
         std::to_string(errand.size);
}

std::optional<Errand> errand_of(std::string_view request_line) {
  const std::size_t from = request_line.find(" /");
  if (from == std::string_view::npos) return std::nullopt;
  const std::string_view path = request_line.substr(from + 2, request_line.find(' ', from + 1) - from - 2);
  const std::size_t first = path.find('/');
  const std::size_t second = path.find('/', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto row =
      std::find_if(kRows.begin(), kRows.end(), [&](const ActRow& r) { return r.name == path.substr(0, first); });
  if (row == kRows.end()) return std::nullopt;
  Errand errand{.act = static_cast<Act>(row - kRows.begin())};
  const char* const end = path.data() + path.size();
  const bool number = std::from_chars(path.data() + first + 1, end, errand.number).ec == std::errc();
  const bool size = std::from_chars(path.data() + second + 1, end, errand.size).ec == std::errc();
  return number && size ? std::optional(errand) : std::nullopt;
}

std::string body_text(const Errand& errand) {
  const std::string once = std::to_string(errand.number) + ";";
  std::string text;
  text.reserve(errand.size + once.size());
  while (text.size() < errand.size) text += once;
  text.resize(errand.size);
  return text;
}

bool perform(Peer& peer, const Errand& errand, const std::string& request_head) {
  std::size_t received = 0;
  if (errand.act != Act::early) {
    const auto body = read_body(peer, request_head, errand.number);
    if (!body) return false;
    received = *body;
  }
  return Performance(peer, errand, received, request_head.starts_with("HEAD ")).run();
}

}  // namespace conntrace::test
