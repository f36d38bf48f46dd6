// SPDX-License-Identifier: Apache-2.0
#include "cli/sources/record_reader.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <utility>

#include "cli/sources/event_parser.h"

namespace conntrace {
namespace {

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

}  // namespace

class RecordReader::Impl {
 public:
  explicit Impl(std::string name) : name_(std::move(name)) {}

  Result<void> feed(std::string_view bytes, const OnEvent& on_event) {
    while (!failure_ && !bytes.empty()) {
      const auto* const newline = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
      if (newline == nullptr) {
        carry(bytes);
        break;
      }
      const auto length = static_cast<std::size_t>(newline - bytes.data());
      if (begun_.empty() && !too_long_ && length <= kMaxInputLine && bytes.size() - length >= EventParser::kPadding) {
        line(bytes.substr(0, length), on_event);
      } else {
        carry(bytes.substr(0, length));
        if (!failure_) carried_line(on_event);
      }
      bytes.remove_prefix(length + 1);
    }
    return outcome();
  }

  Result<void> finish(const OnEvent& on_event) {
    if (!failure_ && (!begun_.empty() || too_long_)) {
      last_ = true;
      carried_line(on_event);
    }
    return outcome();
  }

  const RecordReaderStats& stats() const { return stats_; }

 private:
  [[nodiscard]] Result<void> outcome() const {
    if (failure_) return Failure(*failure_);
    return {};
  }

  /// Keeps the beginning of a line whose end has not come. Beyond the limit only the fact is kept.
  void carry(std::string_view bytes) {
    too_long_ = too_long_ || begun_.size() + bytes.size() > kMaxInputLine;
    if (!too_long_) {
      begun_.append(bytes);
      return;
    }
    begun_.clear();
    if (!begins_) return;
    ++stats_.lines;
    not_records("it is too long");
  }

  void carried_line(const OnEvent& on_event) {
    if (std::exchange(too_long_, false)) {
      ++stats_.lines;
      malformed("it is too long", on_event);
      return;
    }
    const std::size_t length = begun_.size();
    begun_.append(EventParser::kPadding, '\0');
    line({begun_.data(), length}, on_event);
    begun_.clear();
  }

  /// EventParser::kPadding bytes after `text` are readable.
  void line(std::string_view text, const OnEvent& on_event) {
    ++stats_.lines;
    if (is_blank(text)) {
      ++stats_.blank;
      return;
    }
    Event event;
    const EventParser::Parsed parsed = parser_.parse(text, event);
    switch (parsed.verdict) {
      case EventParser::Verdict::newer:
        failure_ = make_error(Errc::newer_schema, fmt::format("{}:{}: {} (this version reads conntrace.event/1; use a "
                                                              "newer conntrace)",
                                                              name_, stats_.lines, parsed.why));
        return;
      case EventParser::Verdict::malformed:
        if (begins_) return not_records(parsed.why);
        return malformed(parsed.why, on_event);
      case EventParser::Verdict::unknown: ++stats_.unknown; break;
      case EventParser::Verdict::record: ++stats_.records; break;
    }
    begins_ = false;
    if (parsed.shortened) ++stats_.shortened;
    previous_ = event.header;
    on_event(std::move(event));
  }

  void not_records(std::string_view why) {
    ++stats_.malformed;
    failure_ =
        make_error(Errc::bad_record,
                   fmt::format("{}:{}: {}; expected JSON Lines that begin with a record like "
                               R"({{"kind":"stream_start","mono_ns":…,"source":"hook","schema":"conntrace.event/1"}})",
                               name_, stats_.lines, why));
  }

  void malformed(std::string_view why, const OnEvent& on_event) {
    ++stats_.malformed;
    if (last_) stats_.unfinished_last_line = true;
    auto where = std::make_shared<std::string>(fmt::format("{}:{}", name_, stats_.lines));
    if (stats_.problems.size() < RecordReaderStats::kMaxProblems) {
      stats_.problems.push_back({stats_.lines, last_
                                                   ? fmt::format("{}: the last line is unfinished, skipped", *where)
                                                   : fmt::format("{}: not an event record, skipped: {}", *where, why)});
    }
    Event gap = make_event<EventKind::gap>({.mono_ns = previous_.mono_ns, .source = previous_.source},
                                           {.lost = 1, .reason = GapReason::malformed, .where = *where});
    gap.storage = std::move(where);
    on_event(std::move(gap));
  }

  const std::string name_;
  EventParser parser_;
  std::string begun_;      ///< a line whose end has not come
  bool too_long_ = false;  ///< that line exceeds the limit
  bool begins_ = true;     ///< no record was read yet
  bool last_ = false;      ///< what is read is what is left at the end
  EventHeader previous_;
  std::optional<Error> failure_;
  RecordReaderStats stats_;
};

RecordReader::RecordReader(std::string name) : impl_(std::make_unique<Impl>(std::move(name))) {}
RecordReader::~RecordReader() = default;
RecordReader::RecordReader(RecordReader&&) noexcept = default;
RecordReader& RecordReader::operator=(RecordReader&&) noexcept = default;

Result<void> RecordReader::feed(std::string_view bytes, const OnEvent& on_event) {
  return impl_->feed(bytes, on_event);
}
Result<void> RecordReader::finish(const OnEvent& on_event) { return impl_->finish(on_event); }
const RecordReaderStats& RecordReader::stats() const { return impl_->stats(); }

}  // namespace conntrace
