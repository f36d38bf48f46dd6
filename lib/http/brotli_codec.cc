// SPDX-License-Identifier: Apache-2.0
#include <brotli/decode.h>

#include <cerrno>

#include "base/owned.h"
#include "http/codec.h"

namespace conntrace::http {
namespace {

using BrotliDecoder = Owned<BrotliDecoderState, BrotliDecoderDestroyInstance>;

class BrotliCodec final : public Codec {
 public:
  Result<std::size_t> run(std::string_view& in, std::span<char> out) override {
    if (in.empty() && !begun_) return std::size_t{0};
    if (decoder_ == nullptr) decoder_.reset(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr));
    if (decoder_ == nullptr) return Failure(system_error(ENOMEM, "BrotliDecoderCreateInstance"));
    begun_ = true;
    if (ended_) {
      if (in.empty()) return std::size_t{0};
      return Failure(make_error(Errc::content_corrupt, "bytes after its end"));
    }
    std::size_t in_left = in.size();
    std::size_t out_left = out.size();
    const auto* next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    auto* next_out = reinterpret_cast<std::uint8_t*>(out.data());
    const auto result =
        BrotliDecoderDecompressStream(decoder_.get(), &in_left, &next_in, &out_left, &next_out, nullptr);
    in.remove_prefix(in.size() - in_left);
    if (result == BROTLI_DECODER_RESULT_ERROR) {
      const char* why = BrotliDecoderErrorString(BrotliDecoderGetErrorCode(decoder_.get()));
      return Failure(make_error(Errc::content_corrupt, why));
    }
    ended_ = result == BROTLI_DECODER_RESULT_SUCCESS;
    const std::size_t made = out.size() - out_left;
    // At the end nothing may be made while bytes are left: they are looked at now, not with the next ones.
    if (ended_ && made == 0 && !in.empty()) return run(in, out);
    return made;
  }

  bool may_end() const override { return ended_ || !begun_; }

 private:
  BrotliDecoder decoder_;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Codec> make_brotli_codec() { return std::make_unique<BrotliCodec>(); }

}  // namespace conntrace::http
