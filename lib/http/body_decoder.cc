// SPDX-License-Identifier: Apache-2.0
#include "http/body_decoder.h"

#include <fmt/format.h>

#include <algorithm>

namespace conntrace::http {
namespace {

std::unique_ptr<Codec> make_codec(Coding coding, const DecodeLimits& limits) {
  switch (coding) {
    case Coding::br: return make_brotli_codec();
    case Coding::zstd: return make_zstd_codec(limits.max_window_log);
    case Coding::gzip:
    case Coding::deflate: break;
  }
  return make_zlib_codec(coding);
}

}  // namespace

BodyDecoder::BodyDecoder(std::span<const Coding> codings, const DecodeLimits& limits) : limits_(limits) {
  stages_.reserve(codings.size());
  std::for_each(codings.rbegin(), codings.rend(), [this](Coding coding) {
    stages_.push_back(
        {coding, make_codec(coding, limits_), std::make_unique_for_overwrite<std::array<char, kPiece>>(), {}, 0});
  });
}

Result<std::string_view> BodyDecoder::next(std::string_view& bytes) {
  if (stages_.empty()) {
    bytes_in_ += bytes.size();
    return std::exchange(bytes, {});
  }
  return pull(stages_.size() - 1, bytes);
}

Result<std::string_view> BodyDecoder::pull(std::size_t index, std::string_view& bytes) {
  Stage& stage = stages_[index];
  std::string_view& in = index == 0 ? bytes : stage.in;
  for (;;) {
    const std::size_t before = in.size();
    Result<std::size_t> made = stage.codec->run(in, *stage.buffer);
    if (index == 0) bytes_in_ += before - in.size();
    if (!made) return Failure(std::move(made).error().within(name_of(stage.coding)));
    if (*made > 0) {
      stage.made += *made;
      if (auto fine = check_limits(stage); !fine) return Failure(std::move(fine).error());
      return std::string_view(stage.buffer->data(), *made);
    }
    if (index == 0) return std::string_view();
    Result<std::string_view> more = pull(index - 1, bytes);
    if (!more || more->empty()) return more;
    in = *more;
  }
}

Result<void> BodyDecoder::check_limits(const Stage& stage) const {
  const auto too_large = [&stage](std::string why) {
    return Failure(make_error(Errc::body_too_large, fmt::format("{}: {}", name_of(stage.coding), why)));
  };
  if (limits_.max_bytes != 0 && stage.made > limits_.max_bytes) {
    return too_large(fmt::format("decodes to more than {} bytes", limits_.max_bytes));
  }
  const bool judged = limits_.max_ratio != 0 && stage.made > limits_.ratio_from;
  if (judged && stage.made / limits_.max_ratio > bytes_in_) {
    return too_large(fmt::format("decodes to more than {} times its size", limits_.max_ratio));
  }
  return {};
}

Result<void> BodyDecoder::finish() const {
  for (const Stage& stage : stages_) {
    if (stage.codec->may_end()) continue;
    return Failure(make_error(Errc::content_truncated, std::string(name_of(stage.coding))));
  }
  return {};
}

}  // namespace conntrace::http
