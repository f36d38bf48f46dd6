// SPDX-License-Identifier: Apache-2.0
#include "pool/occupancy_log.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace conntrace::pool {
namespace {

// The most entries that a position of one byte can tell apart; those that are forgotten take at most half of them.
constexpr std::size_t kPlaces = 256;
static_assert(2 * OccupancyLog::kCapacity <= kPlaces);

// In the order in which holders are listed.
bool explains_more(const Occupancy& a, const Occupancy& b) {
  if (a.to - a.from != b.to - b.from) return a.to - a.from > b.to - b.from;
  return a.connection != b.connection ? a.connection < b.connection : a.request < b.request;
}

}  // namespace

void OccupancyLog::append(const Occupancy& ended) {
  if (longest_.size() == kCapacity) drop_shorter_half();
  if (entries_.size() == kPlaces) drop_forgotten();
  entries_.push_back({next_++, ended});
  held_ns_ += static_cast<std::uint64_t>((ended.to - ended.from).count());
  const auto place = std::partition_point(longest_.begin(), longest_.end(), [&](std::uint8_t other) {
    return explains_more(entries_[other].occupancy, ended);
  });
  longest_.insert(place, static_cast<std::uint8_t>(entries_.size() - 1));
}

void OccupancyLog::drop_shorter_half() {
  for (std::size_t i = kCapacity / 2; i < kCapacity; ++i) {
    dropped_before_ = std::max(dropped_before_, entries_[longest_[i]].order + 1);
  }
  longest_.resize(kCapacity / 2);
  std::array<std::uint8_t, kPlaces> place_of{};
  std::array<bool, kPlaces> kept{};
  for (const std::uint8_t index : longest_) kept[index] = true;
  std::size_t count = 0;
  for (std::size_t i = forgotten_; i < entries_.size(); ++i) {
    if (!kept[i]) continue;
    place_of[i] = static_cast<std::uint8_t>(count);
    entries_[count++] = entries_[i];
  }
  entries_.resize(count);
  forgotten_ = 0;
  for (std::uint8_t& index : longest_) index = place_of[index];
}

void OccupancyLog::drop_forgotten() {
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(forgotten_));
  for (std::uint8_t& index : longest_) index = static_cast<std::uint8_t>(index - forgotten_);
  forgotten_ = 0;
}

void OccupancyLog::forget_before(Mark mark) {
  const std::size_t known = forgotten_;
  while (forgotten_ < entries_.size() && entries_[forgotten_].order < mark) ++forgotten_;
  if (forgotten_ == entries_.size()) return clear();
  if (forgotten_ - known == 1) {  // what a queue that moves leads to
    const void* place = std::memchr(longest_.data(), static_cast<int>(known), longest_.size());
    longest_.erase(longest_.begin() + (static_cast<const std::uint8_t*>(place) - longest_.data()));
  } else if (forgotten_ != known) {
    std::erase_if(longest_, [&](std::uint8_t index) { return index < forgotten_; });
  }
}

void OccupancyLog::clear() {
  entries_.clear();
  longest_.clear();
  forgotten_ = 0;
}

std::span<const OccupancyLog::Entry> OccupancyLog::since(Mark mark) const {
  const auto known = std::span(entries_).subspan(forgotten_);
  const auto first =
      std::lower_bound(known.begin(), known.end(), mark, [](const Entry& e, Mark m) { return e.order < m; });
  return known.subspan(static_cast<std::size_t>(first - known.begin()));
}

}  // namespace conntrace::pool
