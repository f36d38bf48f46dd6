// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/coders.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

namespace conntrace::http {
namespace {

std::string zlib(std::string_view text, int window_bits) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string raw_deflate(std::string_view text) { return zlib(text, -MAX_WBITS); }

std::string zstd_with_window(std::string_view text, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  ZSTD_inBuffer input{text.data(), text.size(), 0};
  ZSTD_inBuffer nothing{text.data(), 0, 0};
  ZSTD_compressStream2(context, &output, &nothing, ZSTD_e_flush);  // its size is not known yet: the window stays
  while (ZSTD_compressStream2(context, &output, &input, ZSTD_e_end) != 0) {
  }
  out.resize(output.pos);
  ZSTD_freeCCtx(context);
  return out;
}

std::string encode(Coding coding, std::string_view text) {
  switch (coding) {
    case Coding::gzip: return zlib(text, MAX_WBITS + 16);
    case Coding::deflate: return zlib(text, MAX_WBITS);
    case Coding::zstd: return zstd_with_window(text, 17);
    case Coding::br: break;
  }
  std::size_t size = BrotliEncoderMaxCompressedSize(text.size()) + 64;
  std::string out(size, '\0');
  BrotliEncoderCompress(5, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, text.size(),
                        reinterpret_cast<const std::uint8_t*>(text.data()), &size,
                        reinterpret_cast<std::uint8_t*>(out.data()));
  out.resize(size);
  return out;
}

std::string encode_all(std::span<const Coding> codings, std::string_view text) {
  std::string result(text);
  for (const Coding coding : codings) result = encode(coding, result);
  return result;
}

}  // namespace conntrace::http
