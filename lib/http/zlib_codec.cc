// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "http/codec.h"

namespace conntrace::http {
namespace {

constexpr int kGzipOnly = 16;  // added to the window bits: inflateInit2 of zlib.h
constexpr std::size_t kWrapping = 2;

/// The first two bytes of RFC 1950: method 8, a window that deflate has, a checksum.
bool has_zlib_wrapping(std::array<unsigned char, kWrapping> head) {
  return (head[0] & 0x0f) == Z_DEFLATED && (head[0] >> 4) <= 7 && (head[0] * 256 + head[1]) % 31 == 0;
}

class ZlibCodec final : public Codec {
 public:
  explicit ZlibCodec(Coding coding) : coding_(coding) {}
  ~ZlibCodec() override {
    if (begun_) inflateEnd(&zlib_);
  }

  Result<std::size_t> run(std::string_view& in, std::span<char> out) override {
    if (!begun_ && !begin(in)) return begun_or_failed();
    for (;;) {
      if (ended_ && (!in.empty() || head_used_ < head_size_)) {
        if (coding_ != Coding::gzip) return corrupt("bytes after its end");
        inflateReset(&zlib_);  // another member
        ended_ = false;
      }
      if (ended_) return std::size_t{0};
      Result<std::size_t> made = inflate_some(in, out);
      if (!made || *made > 0 || (in.empty() && head_used_ == head_size_)) return made;
    }
  }

  bool may_end() const override { return ended_ || (!begun_ && head_size_ == 0); }

 private:
  /// Looks at the first bytes for which wrapping it is. False: there are not enough yet, or zlib has no memory.
  bool begin(std::string_view& in) {
    int window_bits = MAX_WBITS + kGzipOnly;
    if (coding_ == Coding::deflate) {
      for (; head_size_ < kWrapping && !in.empty(); in.remove_prefix(1)) {
        head_[head_size_++] = static_cast<unsigned char>(in.front());
      }
      if (head_size_ < kWrapping) return false;
      window_bits = has_zlib_wrapping(head_) ? MAX_WBITS : -MAX_WBITS;
    } else if (in.empty()) {
      return false;
    }
    no_memory_ = inflateInit2(&zlib_, window_bits) != Z_OK;
    begun_ = !no_memory_;
    return begun_;
  }

  [[nodiscard]] Result<std::size_t> begun_or_failed() const {
    if (no_memory_) return Failure(system_error(ENOMEM, "inflateInit2"));
    return std::size_t{0};
  }

  Result<std::size_t> inflate_some(std::string_view& in, std::span<char> out) {
    const bool from_head = head_used_ < head_size_;
    if (from_head) {
      zlib_.next_in = head_.data() + head_used_;
      zlib_.avail_in = static_cast<uInt>(head_size_ - head_used_);
    } else {
      // zlib does not write to its input; its type lacks the const.
      zlib_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
      zlib_.avail_in = static_cast<uInt>(std::min<std::size_t>(in.size(), std::numeric_limits<uInt>::max()));
    }
    const uInt offered = zlib_.avail_in;
    zlib_.next_out = reinterpret_cast<Bytef*>(out.data());
    zlib_.avail_out = static_cast<uInt>(out.size());
    const int code = inflate(&zlib_, Z_NO_FLUSH);
    const std::size_t used = offered - zlib_.avail_in;
    if (from_head) {
      head_used_ += used;
    } else {
      in.remove_prefix(used);
    }
    if (code == Z_STREAM_END) {
      ended_ = true;
    } else if (code == Z_MEM_ERROR) {
      return Failure(system_error(ENOMEM, "inflate"));
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return corrupt(zlib_.msg != nullptr ? zlib_.msg : "a preset dictionary is needed");
    }
    return out.size() - zlib_.avail_out;
  }

  static Failure corrupt(const char* why) { return Failure(make_error(Errc::content_corrupt, why)); }

  const Coding coding_;
  z_stream zlib_{};
  bool begun_ = false;
  bool no_memory_ = false;
  bool ended_ = false;
  std::array<unsigned char, kWrapping> head_{};
  std::size_t head_size_ = 0;
  std::size_t head_used_ = 0;
};

}  // namespace

std::unique_ptr<Codec> make_zlib_codec(Coding coding) { return std::make_unique<ZlibCodec>(coding); }

}  // namespace conntrace::http
