// SPDX-License-Identifier: Apache-2.0
// Round trips of whole timelines are in tests/golden; here is what files may hold besides.
#include "timeline/timeline_reader.h"

#include <gtest/gtest.h>

#include "render/json.h"

namespace conntrace::cli {
namespace {

RequestTimeline long_request() {
  RequestTimeline out;
  out.id = "1f2e3d4c-4242-1/1";
  out.request.number = 1;
  out.request.url = "http://api/" + std::string(20'000, 'x');
  BlockedFacts blocked{.cause = "max_conns_per_host"};
  for (std::uint64_t i = 0; i < 500; ++i)
    blocked.holders.push_back({.request = "1f2e3d4c-4242-1/" + std::to_string(i), .connection = i});
  out.phases.push_back({Phase::blocked, 0, 10, blocked});
  DnsFacts dns;
  for (int i = 0; i < 500; ++i) dns.addresses.push_back("2001:db8::" + std::to_string(i));
  out.phases.push_back({Phase::dns, 10, 10, dns});
  for (int i = 0; i < 100; ++i)
    out.findings.push_back({"queued_behind_limit", Severity::warning, std::string(300, 'y')});
  for (int i = 0; i < 50; ++i) out.earlier_attempts.push_back({.reason = std::string(500, 'z')});
  for (int i = 0; i < 40; ++i) out.unavailable["fact." + std::to_string(i)] = std::string(400, 'u');
  return out;
}

TEST(Json, a_line_stays_under_8_KiB_and_says_that_it_was_cut) {
  const std::string line = to_json_line(long_request());
  EXPECT_LT(line.size(), 8192u);
  EXPECT_EQ(line.back(), '\n');
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto read = read_timeline(line);
  ASSERT_TRUE(read);
  const auto& request = std::get<RequestTimeline>(*read);
  EXPECT_TRUE(request.truncated);
  EXPECT_EQ(request.phases.size(), 2u);  // the phases themselves are never cut
  EXPECT_EQ(to_json_line(request), line);
}

TEST(Json, a_cut_connection_keeps_its_last_uses) {
  ConnectionTimeline connection;
  for (int i = 0; i < 5000; ++i) {
    connection.uses.push_back({"1f2e3d4c-4242-1/" + std::to_string(i), i, i + 1});
    connection.idle_gaps.push_back({i, 1});
  }
  const std::string line = to_json_line(connection);
  EXPECT_LT(line.size(), 8192u);
  const auto read = read_timeline(line);
  ASSERT_TRUE(read);
  const auto& cut = std::get<ConnectionTimeline>(*read);
  EXPECT_TRUE(cut.truncated);
  ASSERT_FALSE(cut.uses.empty());
  EXPECT_EQ(cut.uses.back().request, "1f2e3d4c-4242-1/4999");
}

TEST(Json, bytes_that_are_not_utf8_do_not_break_the_line) {
  RequestTimeline request;
  request.request.url = "http://api/\xff\xfe\n\"";
  const auto read = read_timeline(to_json_line(request));
  ASSERT_TRUE(read);
  EXPECT_EQ(std::get<RequestTimeline>(*read).request.url, "http://api/\xEF\xBF\xBD\xEF\xBF\xBD\n\"");
}

TEST(TimelineReader, skips_fields_of_later_versions) {
  const auto read = read_timeline(
      R"({"schema":"conntrace.timeline/1","kind":"request","id":"x/1","mood":"fine","phases":[{"name":"zen","start_ns":1,"duration_ns":2}]})");
  ASSERT_TRUE(read) << read.error().message();
  const auto& request = std::get<RequestTimeline>(*read);
  EXPECT_EQ(request.id, "x/1");
  EXPECT_EQ(request.phases.at(0).name, Phase::none);
}

std::error_code error_of(std::string_view line) {
  const auto read = read_timeline(line);
  return read ? std::error_code() : read.error().code;
}

TEST(TimelineReader, says_what_is_wrong) {
  EXPECT_EQ(error_of(""), Errc::bad_record);
  EXPECT_EQ(error_of("{"), Errc::bad_record);
  EXPECT_EQ(error_of("[]"), Errc::bad_record);
  EXPECT_EQ(error_of("{}"), Errc::bad_record);
  EXPECT_EQ(error_of(R"({"schema":"conntrace.event/1","kind":"stream_start"})"), Errc::bad_record);
  EXPECT_EQ(error_of(R"({"schema":"conntrace.timeline/2","kind":"request"})"), Errc::newer_schema);
  EXPECT_EQ(error_of(R"({"schema":"conntrace.timeline/1","kind":"galaxy"})"), Errc::newer_schema);
  EXPECT_EQ(error_of(R"({"schema":"conntrace.timeline/1","kind":"request","truncated":7})"), Errc::bad_record);
  const auto read = read_timeline(R"({"schema":"conntrace.timeline/1","kind":"request","request":{"number":-1}})");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::bad_record);
  EXPECT_NE(read.error().message().find("request.number"), std::string::npos) << read.error().message();
}

TEST(TimelineReader, survives_deep_nesting) { EXPECT_EQ(error_of(std::string(100'000, '[')), Errc::bad_record); }

}  // namespace
}  // namespace conntrace::cli
