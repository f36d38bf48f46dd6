// SPDX-License-Identifier: Apache-2.0
#include <zstd.h>
#include <zstd_errors.h>

#include <cerrno>

#include "base/owned.h"
#include "http/codec.h"

namespace conntrace::http {
namespace {

using ZstdStream = Owned<ZSTD_DStream, ZSTD_freeDStream>;

/// Frames one after the other, skippable ones included (RFC 8878 section 3).
class ZstdCodec final : public Codec {
 public:
  explicit ZstdCodec(int max_window_log) : max_window_log_(max_window_log) {}

  Result<std::size_t> run(std::string_view& in, std::span<char> out) override {
    if (in.empty() && between_frames_) return std::size_t{0};
    if (stream_ == nullptr) {
      stream_.reset(ZSTD_createDStream());
      if (stream_ == nullptr) return Failure(system_error(ENOMEM, "ZSTD_createDStream"));
      ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, max_window_log_);
    }
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    for (;;) {
      ZSTD_inBuffer input{in.data(), in.size(), 0};
      const std::size_t hint = ZSTD_decompressStream(stream_.get(), &output, &input);
      in.remove_prefix(input.pos);
      if (ZSTD_isError(hint) != 0) return failure(hint);
      between_frames_ = hint == 0;
      if (output.pos > 0 || in.empty()) return output.pos;
    }
  }

  bool may_end() const override { return between_frames_; }

 private:
  [[nodiscard]] static Failure failure(std::size_t code) {
    switch (ZSTD_getErrorCode(code)) {
      case ZSTD_error_frameParameter_windowTooLarge:
        return Failure(make_error(Errc::body_too_large, "its window is too large"));
      case ZSTD_error_memory_allocation: return Failure(system_error(ENOMEM, "ZSTD_decompressStream"));
      default: return Failure(make_error(Errc::content_corrupt, ZSTD_getErrorName(code)));
    }
  }

  const int max_window_log_;
  ZstdStream stream_;
  bool between_frames_ = true;
};

}  // namespace

std::unique_ptr<Codec> make_zstd_codec(int max_window_log) { return std::make_unique<ZstdCodec>(max_window_log); }

}  // namespace conntrace::http
