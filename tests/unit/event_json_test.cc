// SPDX-License-Identifier: Apache-2.0
#include "conntrace/event_json.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <limits>
#include <string>
#include <vector>

#include "cli/sources/record_reader.h"
#include "tests/support/filled_event.h"

namespace conntrace {
namespace {

using testing::EventFiller;
using testing::expect_same_event;
using testing::for_each_kind;

std::string line_of(const Event& event) {
  std::string line;
  append_json_line(event, line);
  return line;
}

template <EventKind kind>
std::string line_of(PayloadOf<kind> payload, EventHeader header = {.mono_ns = 5}) {
  return line_of(make_event<kind>(header, payload));
}

std::vector<Event> read_back(const std::string& lines) {
  std::vector<Event> events;
  RecordReader reader("test");
  const auto keep = [&](Event&& event) { events.push_back(std::move(event)); };
  const auto fed = reader.feed(lines, keep);
  EXPECT_TRUE(fed) << fed.error().message() << "\n" << lines;
  EXPECT_TRUE(reader.finish(keep));
  EXPECT_EQ(reader.stats().malformed, 0u) << lines;
  return events;
}

TEST(EventJson, EveryKindWithEveryFieldComesBackAsItWent) {
  for_each_kind([]<EventKind kind>() {
    EventFiller filler;
    const Event written = filler.event<kind>();
    const std::vector<Event> read = read_back(line_of(written));
    ASSERT_EQ(read.size(), 1u);
    expect_same_event<kind>(read[0], written);
  });
}

TEST(EventJson, EveryKindWithNoFieldComesBackAsItWent) {
  for_each_kind([]<EventKind kind>() {
    PayloadOf<kind> payload;
    if constexpr (kind == EventKind::stream_start) payload.schema = "conntrace.event/1";
    const Event written = make_event<kind>({.mono_ns = 1}, payload);
    const std::vector<Event> read = read_back(line_of(written));
    ASSERT_EQ(read.size(), 1u);
    expect_same_event<kind>(read[0], written);
  });
}

TEST(EventJson, OwnCopiesWhatTheViewsShow) {
  for_each_kind([]<EventKind kind>() {
    EventFiller expected_filler;
    const Event expected = expected_filler.event<kind>();
    Event copy;
    {
      EventFiller gone;
      copy = own(gone.event<kind>());
    }
    expect_same_event<kind>(copy, expected);
  });
  EXPECT_FALSE(own(Event{}).known());
}

TEST(EventJson, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(line_of<EventKind::got_conn>({}),
            R"({"kind":"got_conn","mono_ns":5,"source":"hook","reused":false,"was_idle":false,"requests_before":0,)"
            R"("fd":0,"opened_mono_ns":0})"
            "\n");
  EXPECT_EQ(line_of<EventKind::got_conn>({.reused = true, .idle_ns = 0, .local = "127.0.0.1:1"},
                                         {.mono_ns = 6, .source = Source::kernel, .request = 2, .cookie = 3}),
            R"({"kind":"got_conn","mono_ns":6,"source":"kernel","request":2,"cookie":3,"reused":true,"was_idle":false,)"
            R"("idle_ns":0,"requests_before":0,"local":"127.0.0.1:1","fd":0,"opened_mono_ns":0})"
            "\n");
  EXPECT_EQ(line_of<EventKind::wait_100_continue>({}),
            "{\"kind\":\"wait_100_continue\",\"mono_ns\":5,\"source\":\"hook\"}\n");
}

TEST(EventJson, NestsListsOfStructs) {
  const std::vector<Holder> holders = {{.request = 7, .connection = 1, .doing = Phase::wait, .share = 0.75},
                                       {.connection = 2, .share = 0.25}};
  EXPECT_EQ(line_of<EventKind::queue_leave>({.limit = Limit::max_conns_per_host, .holders = holders}),
            R"({"kind":"queue_leave","mono_ns":5,"source":"hook","limit":"max_conns_per_host","outcome":"handoff",)"
            R"("waited_ns":0,"holders":[{"request":7,"connection":1,"doing":"wait","share":0.75},)"
            R"({"connection":2,"doing":"none","share":0.25}],"others_share":0})"
            "\n");
}

TEST(EventJson, EscapesAndRepairsText) {
  const auto url_of = [](Text url) {
    const std::string line = line_of<EventKind::request_start>({.url = url});
    const std::size_t at = line.find("\"url\":\"") + 7;
    return line.substr(at, line.size() - at - 3);
  };
  EXPECT_EQ(url_of("\"\\/\b\f\n\r\t\x1f\x7f"), R"(\"\\/\u0008\u000c\n\r\t\u001f)"
                                               "\x7f");
  EXPECT_EQ(url_of(Text("a\0b", 3)), R"(a\u0000b)");
  EXPECT_EQ(url_of("plain text of more than eight \"quoted\" bytes"),
            R"(plain text of more than eight \"quoted\" bytes)");
  EXPECT_EQ(url_of("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(url_of("\xFF"), bad);
  EXPECT_EQ(url_of("\xC3"), bad);
  EXPECT_EQ(url_of("\xC3("), bad + "(");
  EXPECT_EQ(url_of("\xC0\xAF"), bad + bad) << "overlong";
  EXPECT_EQ(url_of("\xE0\x80\xAF"), bad + bad + bad) << "overlong";
  EXPECT_EQ(url_of("\xED\xA0\x80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(url_of("\xF4\x90\x80\x80"), bad + bad + bad + bad) << "above U+10FFFF";
  EXPECT_EQ(url_of("\xF0\x9F\x98"), bad + bad + bad) << "cut off";
}

TEST(EventJson, EveryByteInEveryPlaceOfAWordIsValidJson) {
  simdjson::dom::parser parser;
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t place = 0; place < 9; ++place) {
      std::string text = "abcdefghi";
      text[place] = static_cast<char>(byte);
      const std::string line = line_of<EventKind::dns_start>({.host = text});
      std::string_view host;
      ASSERT_EQ(parser.parse(line)["host"].get(host), simdjson::SUCCESS) << line;
      if (byte < 0x80)
        EXPECT_EQ(host, text);
      else
        EXPECT_EQ(host, std::string(text).replace(place, 1, "\xEF\xBF\xBD"));
    }
  }
}

TEST(EventJson, NumbersThatJsonHasNotAreLeftOut) {
  const std::vector<Holder> holders = {{.connection = 2, .share = std::numeric_limits<double>::quiet_NaN()}};
  const std::string line =
      line_of<EventKind::queue_leave>({.holders = holders, .others_share = std::numeric_limits<double>::infinity()});
  EXPECT_NE(line.find(R"("holders":[{"connection":2,"doing":"none"}]})"), std::string::npos) << line;
}

TEST(EventJson, AValueOutOfRangeIsUnknown) {
  EXPECT_NE(line_of<EventKind::gap>({.reason = static_cast<GapReason>(200)}).find(R"("reason":"unknown")"),
            std::string::npos);
}

/// Checks that the line is whole, short enough and says that it was shortened; returns what a reader sees.
Event expect_shortened(const std::string& line) {
  EXPECT_LT(line.size(), kMaxLine);
  EXPECT_TRUE(line.ends_with(",\"truncated\":true}\n"))
      << line.substr(line.size() - std::min<std::size_t>(line.size(), 80));
  std::vector<Event> events = read_back(line);
  EXPECT_EQ(events.size(), 1u);
  return events.empty() ? Event{} : events[0];
}

TEST(EventJson, LongTextIsShortenedBetweenCharacters) {
  for (const std::string unit : {"x", "\"", "\x01", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xFF"}) {
    std::string url = "http://a/";
    while (url.size() < 20'000) url += unit;
    const Event event =
        expect_shortened(line_of<EventKind::request_start>({.method = "GET", .url = url, .host = "a:80"}));
    const auto* const info = get_if<EventKind::request_start>(event);
    ASSERT_NE(info, nullptr);
    EXPECT_GT(info->url.size(), 500u);
    if (unit != "\xFF") {
      EXPECT_TRUE(url.starts_with(info->url));
    }
    EXPECT_EQ(info->host, "a:80") << "what comes after it is whole";
  }
}

TEST(EventJson, TextThatJustFitsIsWhole) {
  const std::size_t frame = line_of<EventKind::dns_start>({.host = "x"}).size() - 1;
  const std::string longest(kMaxLine - 1 - frame, 'x');
  const std::string line = line_of<EventKind::dns_start>({.host = longest});
  EXPECT_EQ(line.size(), kMaxLine - 1);
  EXPECT_EQ(line.find("truncated"), std::string::npos);
  expect_shortened(line_of<EventKind::dns_start>({.host = longest + "x"}));
}

TEST(EventJson, LongListsAreCut) {
  const std::string address(40, '1');
  const std::vector<Text> addresses(3000, address);
  const Event dns = expect_shortened(line_of<EventKind::dns_done>({.host = "a", .addresses = addresses, .error = "e"}));
  EXPECT_GT(get_if<EventKind::dns_done>(dns)->addresses.size(), 50u);
  EXPECT_EQ(get_if<EventKind::dns_done>(dns)->error, "e");

  const std::vector<Holder> holders(3000, Holder{.request = ~0ull, .connection = ~0ull, .share = 1.0 / 3});
  const Event queue = expect_shortened(line_of<EventKind::queue_enter>({.limit = Limit::fd_limit, .holders = holders}));
  EXPECT_GT(get_if<EventKind::queue_enter>(queue)->holders.size(), 20u);
  EXPECT_EQ(get_if<EventKind::queue_enter>(queue)->holders.front().request, ~0ull);
}

TEST(EventJson, EveryKindStaysShortWithTheLongestValues) {
  for_each_kind([]<EventKind kind>() {
    const std::string text(10'000, '\x02');
    const std::vector<Text> texts(1000, text);
    const std::vector<Holder> holders(1000, Holder{.request = ~0ull, .connection = ~0ull, .share = -1.0 / 3e300});
    const std::vector<Candidate> candidates(1000, Candidate{~0ull, WhyNew::keep_alives_disabled});
    const std::vector<CloseCount> counts(1000, CloseCount{CloseReason::max_idle_conns_per_host, ~0ull});
    PayloadOf<kind> payload;
    bool shortened = false;
    for_each_field<PayloadOf<kind>>([&]<class S, class Value>(const Field<S, Value>& field) {
      Value& value = payload.*field.member;
      if constexpr (std::is_same_v<Value, Text>) value = text;
      if constexpr (std::is_same_v<Value, List<Text>>) value = texts;
      if constexpr (std::is_same_v<Value, List<Holder>>) value = holders;
      if constexpr (std::is_same_v<Value, List<Candidate>>) value = candidates;
      if constexpr (std::is_same_v<Value, List<CloseCount>>) value = counts;
      shortened = shortened || is_list<Value> || std::is_same_v<Value, Text>;
    });
    const std::string line =
        line_of<kind>(payload, {~0ull, Source::kernel, ~0u, ~0u, ~0ull, ~0ull, ~0u, ~0ull, ~0ull, ~0ull});
    EXPECT_LT(line.size(), kMaxLine);
    simdjson::dom::parser parser;
    bool truncated = false;
    EXPECT_EQ(parser.parse(line).error(), simdjson::SUCCESS) << line;
    EXPECT_EQ(parser.parse(line)["truncated"].get(truncated) == simdjson::SUCCESS && truncated, shortened);
  });
}

}  // namespace
}  // namespace conntrace
