// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/sources/record_reader.h"

namespace conntrace::testing {

/// Reads whole lines back; fails the test if one of them is not a record.
inline std::vector<Event> read_records(std::string_view lines) {
  std::vector<Event> events;
  RecordReader reader("test");
  const auto keep = [&](Event&& event) { events.push_back(std::move(event)); };
  const auto fed = reader.feed(lines, keep);
  EXPECT_TRUE(fed) << fed.error().message();
  EXPECT_TRUE(reader.finish(keep));
  for (const auto& problem : reader.stats().problems) ADD_FAILURE() << problem.what;
  return events;
}

/// What a stream says of itself.
struct StreamCount {
  std::uint64_t records = 0;  ///< gap records not counted, as in stream_end
  std::uint64_t gaps = 0;
  std::uint64_t lost = 0;  ///< the sum of the gaps
};

inline StreamCount count_stream(const std::vector<Event>& events) {
  StreamCount count;
  for (const Event& event : events) {
    if (const auto* const gap = get_if<EventKind::gap>(event)) {
      ++count.gaps;
      count.lost += gap->lost;
    } else {
      ++count.records;
    }
  }
  return count;
}

/// Checks that the stream begins and ends in order and that its end tells the truth about what is in it.
inline StreamCount expect_whole_stream(const std::vector<Event>& events) {
  const StreamCount count = count_stream(events);
  if (events.empty()) {
    ADD_FAILURE() << "the stream is empty";
    return count;
  }
  EXPECT_NE(get_if<EventKind::stream_start>(events.front()), nullptr);
  const auto* const end = get_if<EventKind::stream_end>(events.back());
  EXPECT_NE(end, nullptr) << "the last record is not stream_end";
  if (end != nullptr) {
    EXPECT_EQ(end->records, count.records);
    EXPECT_EQ(end->lost, count.lost);
  }
  return count;
}

}  // namespace conntrace::testing
