// SPDX-License-Identifier: Apache-2.0
#include "cli/sources/record_reader.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "conntrace/event_json.h"
#include "tests/support/filled_event.h"

namespace conntrace {
namespace {

const std::string kStart = R"({"schema":"conntrace.event/1","kind":"stream_start","mono_ns":1,"source":"hook","pid":7})"
                           "\n";
const std::string kDns = R"({"kind":"dns_start","mono_ns":2,"source":"hook","host":"api"})"
                         "\n";

struct Outcome {
  Result<void> result;
  std::vector<Event> events;
  RecordReaderStats stats;
};

/// Reads `bytes` in pieces of `piece` bytes.
Outcome read_all(std::string_view bytes, std::size_t piece = std::string_view::npos) {
  Outcome outcome;
  RecordReader reader("in.jsonl");
  const auto keep = [&](Event&& event) { outcome.events.push_back(std::move(event)); };
  while (outcome.result && !bytes.empty()) {
    // A copy of exactly the piece: reading beyond it is seen by ASan.
    const std::vector<char> fed(bytes.begin(),
                                bytes.begin() + static_cast<std::ptrdiff_t>(std::min(piece, bytes.size())));
    outcome.result = reader.feed({fed.data(), fed.size()}, keep);
    bytes.remove_prefix(fed.size());
  }
  if (outcome.result) outcome.result = reader.finish(keep);
  outcome.stats = reader.stats();
  const RecordReaderStats& stats = outcome.stats;
  if (outcome.result) {
    EXPECT_EQ(stats.lines, stats.blank + stats.records + stats.unknown + stats.malformed);
    EXPECT_EQ(outcome.events.size(), stats.records + stats.unknown + stats.malformed);
  }
  return outcome;
}

TEST(RecordReader, GivesTheSameEventsWhateverThePieces) {
  std::string lines = kStart;
  std::vector<Event> written;
  testing::EventFiller filler;
  testing::for_each_kind([&]<EventKind kind>() {
    written.push_back(filler.event<kind>());
    append_json_line(written.back(), lines);
  });
  for (const std::size_t piece : {1u, 2u, 7u, 63u, 64u, 65u, 300u, 100'000u}) {
    const Outcome outcome = read_all(lines, piece);
    ASSERT_TRUE(outcome.result) << outcome.result.error().message();
    ASSERT_EQ(outcome.events.size(), written.size() + 1);
    std::size_t at = 1;
    testing::for_each_kind([&]<EventKind kind>() {
      testing::expect_same_event<kind>(outcome.events[at], written[at - 1]);
      ++at;
    });
  }
}

TEST(RecordReader, EventsOutliveTheReader) {
  Event kept;
  {
    RecordReader reader("x");
    std::string lines = kDns;
    ASSERT_TRUE(reader.feed(lines, [&](Event&& event) { kept = std::move(event); }));
    lines.assign(lines.size(), 'x');
  }
  EXPECT_EQ(get_if<EventKind::dns_start>(kept)->host, "api");
}

TEST(RecordReader, ALastLineWithoutNewlineCountsIfItIsWhole) {
  const Outcome whole = read_all(kStart + kDns.substr(0, kDns.size() - 1));
  ASSERT_TRUE(whole.result);
  EXPECT_EQ(whole.stats.records, 2u);
  EXPECT_FALSE(whole.stats.unfinished_last_line);

  const Outcome cut = read_all(kStart + kDns.substr(0, kDns.size() - 2));
  ASSERT_TRUE(cut.result);
  EXPECT_EQ(cut.stats.records, 1u);
  EXPECT_TRUE(cut.stats.unfinished_last_line);
  ASSERT_EQ(cut.stats.problems.size(), 1u);
  EXPECT_EQ(cut.stats.problems[0].what, "in.jsonl:2: the last line is unfinished, skipped");
}

TEST(RecordReader, AMalformedLineIsCountedNamedAndAGap) {
  const Outcome outcome = read_all(kStart + "{\"kind\":\n" + kDns);
  ASSERT_TRUE(outcome.result);
  EXPECT_EQ(outcome.stats.records, 2u);
  EXPECT_EQ(outcome.stats.malformed, 1u);
  ASSERT_EQ(outcome.stats.problems.size(), 1u);
  EXPECT_EQ(outcome.stats.problems[0].line, 2u);
  EXPECT_TRUE(outcome.stats.problems[0].what.starts_with("in.jsonl:2: not an event record, skipped: it is not JSON"));
  const auto* const gap = get_if<EventKind::gap>(outcome.events[1]);
  ASSERT_NE(gap, nullptr);
  EXPECT_EQ(gap->reason, GapReason::malformed);
  EXPECT_EQ(gap->lost, 1u);
  EXPECT_EQ(gap->where, "in.jsonl:2");
  EXPECT_EQ(outcome.events[1].header.mono_ns, 1u);
}

TEST(RecordReader, WrongTypesAreMalformedAndNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"kind":"dns_start","mono_ns":"2","source":"hook"})", "mono_ns"},
      {R"({"kind":"dns_start","mono_ns":-2,"source":"hook"})", "mono_ns"},
      {R"({"kind":"dns_start","mono_ns":2.5,"source":"hook"})", "mono_ns"},
      {R"({"kind":"dns_start","source":"hook"})", "mono_ns"},
      {R"({"kind":"dns_start","mono_ns":null,"source":"hook"})", "mono_ns"},
      {R"({"kind":"dns_start","mono_ns":2})", "source"},
      {R"({"kind":"dns_start","mono_ns":2,"source":3})", "source"},
      {R"({"kind":"dns_start","mono_ns":2,"source":"hook","host":["a"]})", "host"},
      {R"({"kind":"dns_start","mono_ns":2,"source":"hook","pid":4294967296})", "pid"},
      {R"({"kind":"dns_done","mono_ns":2,"source":"hook","addresses":"a"})", "addresses"},
      {R"({"kind":"dns_done","mono_ns":2,"source":"hook","addresses":["a",1]})", "addresses"},
      {R"({"kind":"dns_done","mono_ns":2,"source":"hook","coalesced":1})", "coalesced"},
      {R"({"kind":"got_conn","mono_ns":2,"source":"hook","fd":3000000000})", "fd"},
      {R"({"kind":"got_conn","mono_ns":2,"source":"hook","idle_ns":-1})", "idle_ns"},
      {R"({"kind":"queue_leave","mono_ns":2,"source":"hook","holders":[{"share":"x"}]})", "holders"},
      {R"({"kind":"queue_leave","mono_ns":2,"source":"hook","holders":[3]})", "holders"},
      {R"({"mono_ns":2,"source":"hook"})", "kind"},
      {R"({"kind":7,"mono_ns":2,"source":"hook"})", "kind"},
  };
  for (const auto& [line, field] : cases) {
    const Outcome outcome = read_all(kStart + line + "\n" + kDns);
    ASSERT_TRUE(outcome.result) << line;
    EXPECT_EQ(outcome.stats.records, 2u) << line;
    ASSERT_EQ(outcome.stats.problems.size(), 1u) << line;
    EXPECT_NE(outcome.stats.problems[0].what.find(std::string("\"") + field + "\""), std::string::npos)
        << outcome.stats.problems[0].what;
  }
}

TEST(RecordReader, UnknownKindsValuesAndFieldsAreNotFatal) {
  const Outcome kind = read_all(kStart + R"({"kind":"quic_start","mono_ns":3,"source":"hook","request":9,"x":[{}]})");
  ASSERT_TRUE(kind.result);
  EXPECT_EQ(kind.stats.unknown, 1u);
  EXPECT_FALSE(kind.events[1].known());
  EXPECT_EQ(kind.events[1].header.request, 9u);

  const Outcome value = read_all(kStart + R"({"kind":"body_closed","mono_ns":3,"source":"hook","outcome":"eaten"})");
  ASSERT_TRUE(value.result);
  EXPECT_EQ(value.stats.unknown, 1u);
  EXPECT_FALSE(value.events[1].known()) << "an outcome that is not known must not become another one";

  const Outcome field = read_all(
      R"({"new":{"a":[1,{"b":null}]},"mono_ns":3,"source":"hook","kind":"dns_start","host":"api","other":-1e3})");
  ASSERT_TRUE(field.result);
  ASSERT_EQ(field.stats.records, 1u);
  EXPECT_EQ(get_if<EventKind::dns_start>(field.events[0])->host, "api");
}

TEST(RecordReader, NullIsAbsentAndTheLastOfTwoKeysCounts) {
  const Outcome outcome = read_all(
      R"({"kind":"dns_done","mono_ns":3,"source":"hook","host":null,"addresses":null,"error":"a","error":"b"})");
  ASSERT_EQ(outcome.stats.records, 1u);
  const auto* const info = get_if<EventKind::dns_done>(outcome.events[0]);
  EXPECT_EQ(info->host, "");
  EXPECT_TRUE(info->addresses.empty());
  EXPECT_EQ(info->error, "b");
}

TEST(RecordReader, WhatDoesNotBeginWithARecordIsRefused) {
  const std::pair<std::string, std::string> cases[] = {
      {"hello\n", "in.jsonl:1: it is not JSON"},
      {"[1]\n", "in.jsonl:1: it is not a JSON object"},
      {"\n \n{\"level\":\"info\"}\n", "in.jsonl:3: it has no \"kind\""},
      {R"({"schema":"conntrace.timeline/1","kind":"request","start_mono_ns":4})",
       "it is of schema \"conntrace.timeline/1\""},
      {R"({"schema":"conntrace.timeline/1","kind":"stream_start","mono_ns":4,"source":"hook"})", "of schema"},
      {R"({"kind":"stream_start","mono_ns":4,"source":"hook"})", "without a schema"},
      {kStart.substr(0, 30), "in.jsonl:1: it is not JSON"},
      {std::string("\0\0\0\n", 4), "in.jsonl:1: it is not JSON"},
      {std::string(3u << 20, 'x'), "in.jsonl:1: it is too long"},
      {"\x7f"
       "ELF\x02\x01\x01",
       "in.jsonl:1: it is not JSON"},
  };
  for (const auto& [bytes, says] : cases) {
    const Outcome outcome = read_all(bytes, 4096);
    ASSERT_FALSE(outcome.result) << bytes.substr(0, 80);
    EXPECT_EQ(outcome.result.error().code, Errc::bad_record);
    EXPECT_NE(outcome.result.error().message().find(says), std::string::npos) << outcome.result.error().message();
    EXPECT_NE(outcome.result.error().message().find("expected JSON Lines"), std::string::npos);
    EXPECT_TRUE(outcome.events.empty());
  }
}

TEST(RecordReader, ANewerSchemaIsRefusedWhereverItBegins) {
  for (const std::string version : {"2", "17", "99999999999999999999"}) {
    const std::string newer =
        R"({"schema":"conntrace.event/)" + version + R"(","kind":"stream_start","mono_ns":4,"source":"hook"})" + "\n";
    for (const std::string& before : {std::string(), kStart + kDns}) {
      const Outcome outcome = read_all(before + newer + kDns);
      ASSERT_FALSE(outcome.result);
      EXPECT_EQ(outcome.result.error().code, Errc::newer_schema);
      EXPECT_NE(outcome.result.error().message().find("conntrace.event/" + version), std::string::npos);
      EXPECT_EQ(outcome.events.size(), before.empty() ? 0u : 2u) << "what came before it was given";
    }
  }
}

TEST(RecordReader, AnErrorIsFinal) {
  RecordReader reader("x");
  const auto ignore = [](Event&&) { ADD_FAILURE(); };
  ASSERT_FALSE(reader.feed("no\n", ignore));
  EXPECT_FALSE(reader.feed(kDns, ignore));
  EXPECT_FALSE(reader.finish(ignore));
}

TEST(RecordReader, NothingIsNoRecordsAndNoError) {
  const Outcome outcome = read_all("");
  EXPECT_TRUE(outcome.result);
  EXPECT_EQ(outcome.stats.lines, 0u);
}

TEST(RecordReader, LinesOfAnyLengthAndDepth) {
  const std::string fits(RecordReader::kMaxInputLine - kDns.size() + 4, 'h');
  std::string longest = kDns;
  longest.replace(longest.find("api"), 3, fits);
  ASSERT_EQ(longest.size(), RecordReader::kMaxInputLine + 1) << "with its newline";
  std::string too_long = kDns;
  too_long.replace(too_long.find("api"), 3, fits + "h");
  std::string deep = R"({"kind":"dns_start","mono_ns":2,"source":"hook","x":)";
  deep += std::string(100'000, '[') + std::string(100'000, ']') + "}\n";
  std::string holders = R"({"kind":"queue_enter","mono_ns":2,"source":"hook","holders":[{})";
  while (holders.size() < 900'000) holders += ",{}";
  holders += "]}\n";
  for (const std::size_t piece : {std::size_t{1000}, std::string::npos}) {
    const Outcome outcome = read_all(kStart + longest + too_long + deep + holders + kDns, piece);
    ASSERT_TRUE(outcome.result);
    EXPECT_EQ(outcome.stats.records, 4u);
    EXPECT_EQ(outcome.stats.malformed, 2u);
    EXPECT_EQ(get_if<EventKind::dns_start>(outcome.events[1])->host, fits);
    EXPECT_GT(get_if<EventKind::queue_enter>(outcome.events[4])->holders.size(), 250'000u);
  }
}

TEST(RecordReader, CarriageReturnsAndBlankLinesAreNothing) {
  std::string dos = kDns;
  dos.insert(dos.size() - 1, "\r");
  const Outcome outcome = read_all("\r\n" + dos + "\n\n" + dos);
  ASSERT_TRUE(outcome.result);
  EXPECT_EQ(outcome.stats.records, 2u);
  EXPECT_EQ(outcome.stats.blank, 3u);
}

TEST(RecordReader, SurvivesMutatedLines) {
  std::vector<std::string> lines;
  testing::EventFiller filler;
  testing::for_each_kind([&]<EventKind kind>() { append_json_line(filler.event<kind>(), lines.emplace_back()); });
  const std::string pieces[] = {"{",
                                "}",
                                "[",
                                "]",
                                ",",
                                ":",
                                "\"",
                                "\\",
                                "null",
                                "-",
                                "1e999",
                                "18446744073709551616",
                                "-9223372036854775809",
                                "\\u0000",
                                "\\ud800",
                                "\xFF",
                                "\n",
                                "true",
                                "{}",
                                "[[[[",
                                "\"kind\":\"gap\"",
                                "\"schema\":\"conntrace.event/1\"",
                                std::string(1, '\0')};
  std::mt19937 random(20260102);  // NOLINT(cert-msc51-cpp): the same cases every time
  const auto below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  std::uint64_t records = 0;
  std::uint64_t malformed = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string line = lines[below(lines.size())];
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
      const std::size_t at = below(line.size());
      switch (below(5)) {
        case 0: line[at] = static_cast<char>(below(256)); break;
        case 1: line.erase(at, 1 + below(8)); break;
        case 2: line.insert(at, pieces[below(std::size(pieces))]); break;
        case 3: line.insert(at, line.substr(below(line.size()), below(40))); break;
        default: line.resize(at + 1); break;
      }
      if (line.empty()) line = "x";
    }
    const Outcome outcome = read_all(kStart + line + "\n" + kDns, 1 + below(2 * line.size()));
    if (!outcome.result) {
      EXPECT_EQ(outcome.result.error().code, Errc::newer_schema) << line;
      continue;
    }
    records += outcome.stats.records;
    malformed += outcome.stats.malformed;
    for (const Event& event : outcome.events) {
      if (!event.known()) continue;
      std::string again;
      append_json_line(own(event), again);  // touches all that the views show
      EXPECT_LT(again.size(), kMaxLine);
    }
  }
  EXPECT_GT(records, 40'000u) << "the lines around the mutated one";
  EXPECT_GT(malformed, 5'000u);
}

}  // namespace
}  // namespace conntrace
