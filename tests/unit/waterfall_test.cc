// SPDX-License-Identifier: Apache-2.0
#include "render/waterfall.h"

#include <gtest/gtest.h>

#include <sstream>

#include "render/terminal_text.h"

namespace conntrace::cli {
namespace {

RequestTimeline queued_request() {
  RequestTimeline out;
  out.id = "1f2e3d4c-4242-1/17";
  out.duration_ns = 100'000'000;
  out.process = {.pid = 4242, .comm = "checkout"};
  out.request = {.number = 17, .method = "GET", .url = "http://api:8080/v1"};
  out.response = ResponseFacts{.status = 200};
  BlockedFacts blocked{.cause = "max_conns_per_host", .limit = 2, .position = 1, .depth = 3};
  blocked.outcome = QueueOutcome::handoff;
  blocked.holders.push_back({.request = "1f2e3d4c-4242-1/15", .connection = 2, .doing = Phase::receive, .share = 0.7});
  blocked.released_by = "1f2e3d4c-4242-1/15";
  out.phases.push_back({Phase::blocked, 0, 50'000'000, blocked});
  out.phases.push_back({Phase::wait, 50'000'000, 50'000'000, {}});
  out.connection = RequestConnection{.number = 2, .reused = true, .requests_before = 13};
  out.findings.push_back({"queued_behind_limit", Severity::warning, "It waited."});
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

std::string shown(const RequestTimeline& timeline, TerminalOptions options = {}) {
  std::string out;
  render(timeline, options, out);
  return out;
}

TEST(Waterfall, says_what_happened) {
  EXPECT_EQ(shown(queued_request()),
            "GET http://api:8080/v1  200  100 ms  #17 checkout (4242)\n"
            "  blocked   ████████████████████████████▌                                50.0 ms\n"
            "  wait                                  █████████████████████████████    50.0 ms\n"
            "    waited 50.0 ms behind max_conns_per_host = 2, number 1 of 3 in the queue;\n"
            "    ended by handoff of request 15\n"
            "    held by request 15 on connection 2 in receive 70 %\n"
            "    connection 2: reused, handed over, 13 requests before\n"
            "  ! queued_behind_limit: It waited.\n");
}

TEST(Waterfall, no_line_is_wider_than_the_terminal) {
  RequestTimeline timeline = queued_request();
  timeline.request.url = "http://api:8080/" + std::string(500, 'u');
  timeline.error = RequestError{"read: " + std::string(300, 'e'), Phase::wait};
  timeline.unavailable["fds"] = "no descriptor census of this process before the request ended";
  timeline.complete = false;
  for (const bool utf8 : {true, false}) {
    for (const unsigned width : {0u, 39u, 40u, 41u, 63u, 80u, 121u, 300u}) {
      for (const std::string& line : lines_of(shown(timeline, {.width = width, .utf8 = utf8})))
        EXPECT_LE(columns_of(line), std::max(width, 40u)) << line;
    }
  }
}

TEST(Waterfall, shows_the_result_however_long_the_url_is) {
  RequestTimeline timeline = queued_request();
  timeline.request.url = "http://api:8080/" + std::string(500, 'u');
  const std::string header = lines_of(shown(timeline)).at(0);
  EXPECT_NE(header.find("http://api:8080/"), std::string::npos) << header;
  EXPECT_NE(header.find("200"), std::string::npos) << header;
}

TEST(Waterfall, a_peer_cannot_drive_the_terminal) {
  RequestTimeline timeline = queued_request();
  timeline.request.url =
      "http://api/\x1b]0;owned\x07\x1b[2J\x9b"
      "31m\n\xff\xE2\x80\xAE";
  timeline.process.comm = "\x1b[31mred";
  timeline.error = RequestError{"bad\r\nline\x1b[0m", Phase::wait};
  const std::string text = shown(timeline);
  EXPECT_EQ(text.find_first_of(std::string("\x1b\x07\x9b\r\xff", 5)), std::string::npos) << text;
  EXPECT_EQ(text.find("\xE2\x80\xAE"), std::string::npos);  // right-to-left override
  for (const std::string& line : lines_of(text)) EXPECT_LE(columns_of(line), 80u);
}

TEST(Waterfall, colours_change_nothing_but_colour) {
  std::string plain = shown(queued_request());
  std::string coloured = shown(queued_request(), {.color = true});
  std::string stripped;
  for (std::size_t i = 0; i < coloured.size(); ++i) {
    if (coloured[i] == '\x1b') {
      i = coloured.find('m', i);
    } else {
      stripped += coloured[i];
    }
  }
  EXPECT_NE(plain, coloured);
  EXPECT_EQ(plain, stripped);
}

TEST(Waterfall, ascii_is_ascii) {
  for (const char c : shown(queued_request(), {.utf8 = false})) EXPECT_LT(static_cast<unsigned char>(c), 0x80);
}

TEST(Waterfall, of_a_connection) {
  ConnectionTimeline timeline;
  timeline.duration_ns = 1'000'000'000;
  timeline.process = {.pid = 777, .comm = "curl"};
  timeline.direction = Direction::outgoing;
  timeline.local = "10.0.0.2:40001";
  timeline.remote = "10.0.0.7:8080";
  timeline.handshake_ns = 300'000;
  timeline.syn_retransmits = 0;
  timeline.idle_gaps.push_back({250'000'000, 500'000'000});
  timeline.closed =
      ClosedFacts{.by = ClosedBy::peer, .how = CloseHow::reset, .error_number = 104, .at_ns = 1'000'000'000};
  std::string out;
  render(timeline, {.width = 60, .utf8 = false}, out);
  EXPECT_EQ(out,
            "connection 10.0.0.2:40001 -> 10.0.0.7:8080  1 s  curl (777)\n"
            "                  -----------------------------\n"
            "    1 idle gap, longest 500 ms\n"
            "    handshake 300 us, SYN retransmits 0\n"
            "    closed after 1 s: unknown, by peer, reset, ECONNRESET\n");
}

TEST(Waterfall, of_a_process) {
  ProcessTimeline timeline;
  timeline.process = {.pid = 777, .comm = "curl"};
  timeline.fds.emplace();
  timeline.fds->open = 60;
  timeline.fds->soft_limit = 64;
  timeline.alarm = FdAlarm{.error = "EMFILE", .syscall = "socket"};
  std::string out;
  render(timeline, {}, out);
  EXPECT_EQ(out, "curl (777)  60 of 64 descriptors open (93 %)  socket failed: EMFILE\n");
}

}  // namespace
}  // namespace conntrace::cli
