// SPDX-License-Identifier: Apache-2.0
#include "http/body_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/coders.h"

namespace conntrace::http {
namespace {

using testing::HasSubstr;

constexpr Coding kAll[] = {Coding::gzip, Coding::deflate, Coding::br, Coding::zstd};

struct Decoded {
  std::string text;
  std::error_code code;
  std::string context;
};

Decoded decode(std::span<const Coding> codings, std::string_view coded, const DecodeLimits& limits = {},
               std::size_t step = std::string::npos) {
  BodyDecoder decoder(codings, limits);
  Decoded decoded;
  const auto failed = [&decoded](const Error& error) {
    decoded.code = error.code;
    decoded.context = error.context;
    return decoded;
  };
  while (!coded.empty()) {
    std::string_view piece = coded.substr(0, step);
    coded.remove_prefix(piece.size());
    const auto done = decoder.decode(piece, [&](std::string_view text) {
      EXPECT_LE(text.size(), 16 * 1024);
      decoded.text += text;
      return true;
    });
    if (!done) return failed(done.error());
  }
  if (const auto end = decoder.finish(); !end) return failed(end.error());
  EXPECT_EQ(decoder.bytes_out(), decoded.text.size());
  return decoded;
}

Decoded decode(Coding coding, std::string_view coded, const DecodeLimits& limits = {},
               std::size_t step = std::string::npos) {
  return decode(std::span(&coding, 1), coded, limits, step);
}

/// Neither all alike nor without any repetition.
std::string sample(std::size_t size) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < size) text += "line " + std::to_string(random() % 1000) + " of a text\n";
  text.resize(size);
  return text;
}

TEST(BodyDecoder, TakesEveryCodingOff) {
  for (const std::size_t size : {0, 1, 15, 100'000}) {
    const std::string text = sample(size);
    for (const Coding coding : kAll) {
      for (const std::size_t step : {std::size_t{1}, std::size_t{1000}, std::string::npos}) {
        const Decoded decoded = decode(coding, encode(coding, text), {}, step);
        EXPECT_FALSE(decoded.code) << name_of(coding) << " " << decoded.context;
        EXPECT_EQ(decoded.text, text) << name_of(coding) << " in steps of " << step;
      }
    }
  }
}

TEST(BodyDecoder, DeflateMayComeWithoutWrapping) {
  for (const std::size_t size : {0, 1, 5000}) {
    for (const std::size_t step : {std::size_t{1}, std::string::npos}) {
      EXPECT_EQ(decode(Coding::deflate, raw_deflate(sample(size)), {}, step).text, sample(size));
    }
  }
}

TEST(BodyDecoder, AnEmptyBodyIsEmptyInEveryCoding) {
  for (const Coding coding : kAll) {
    const Decoded decoded = decode(coding, "");
    EXPECT_FALSE(decoded.code);
    EXPECT_EQ(decoded.text, "");
  }
}

TEST(BodyDecoder, MembersAndFramesFollowEachOther) {
  EXPECT_EQ(decode(Coding::gzip, encode(Coding::gzip, "one ") + encode(Coding::gzip, "two")).text, "one two");
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  EXPECT_EQ(decode(Coding::zstd, encode(Coding::zstd, "one ") + skippable + encode(Coding::zstd, "two")).text,
            "one two");
}

TEST(BodyDecoder, StackedCodingsComeOffInReverse) {
  const std::string text = sample(50'000);
  const Coding stack[] = {Coding::br, Coding::gzip, Coding::zstd, Coding::deflate};
  for (const std::size_t step : {std::size_t{1}, std::string::npos}) {
    EXPECT_EQ(decode(stack, encode_all(stack, text), {}, step).text, text);
  }
  EXPECT_EQ(decode(std::span<const Coding>(), "as it is").text, "as it is");
}

TEST(BodyDecoder, EveryTruncationIsNoticed) {
  const std::string text = sample(300);
  for (const Coding coding : kAll) {
    const std::string coded = encode(coding, text);
    for (std::size_t size = 1; size < coded.size(); ++size) {
      const Decoded decoded = decode(coding, coded.substr(0, size));
      ASSERT_EQ(decoded.code, Errc::content_truncated) << name_of(coding) << " of " << size << " bytes";
      ASSERT_EQ(decoded.context, name_of(coding));
    }
  }
  const Coding stack[] = {Coding::gzip, Coding::br};
  const std::string inner = encode(Coding::gzip, text);
  const Decoded decoded = decode(stack, encode(Coding::br, inner.substr(0, inner.size() - 1)));
  EXPECT_EQ(decoded.code, Errc::content_truncated);
  EXPECT_EQ(decoded.context, "gzip");
}

TEST(BodyDecoder, SaysWhatIsCorrupt) {
  const auto error = [](Coding coding, const std::string& coded) {
    const Decoded decoded = decode(coding, coded);
    EXPECT_EQ(decoded.code, Errc::content_corrupt) << decoded.code.message();
    return decoded.context;
  };
  EXPECT_EQ(error(Coding::gzip, "this is not gzip"), "gzip: incorrect header check");
  EXPECT_EQ(error(Coding::br, std::string(20, '\xff')).find("br: "), 0);
  EXPECT_EQ(error(Coding::zstd, "this is not zstd"), "zstd: Unknown frame descriptor");
  for (const Coding coding : {Coding::gzip, Coding::deflate, Coding::zstd}) {
    std::string coded = encode(coding, sample(1000));
    // The checksum is the last but for gzip's length.
    coded[coded.size() - (coding == Coding::gzip ? 5 : 1)] ^= 1;
    EXPECT_THAT(error(coding, coded), HasSubstr("check")) << name_of(coding);
  }
  EXPECT_EQ(error(Coding::gzip, encode(Coding::gzip, "x") + "rest"), "gzip: incorrect header check");
  EXPECT_EQ(error(Coding::deflate, encode(Coding::deflate, "x") + "rest"), "deflate: bytes after its end");
  EXPECT_EQ(error(Coding::br, encode(Coding::br, "x") + "rest"), "br: bytes after its end");
}

TEST(BodyDecoder, BoundsWhatABodyMayBecome) {
  const std::string text = sample(40'000);
  for (const Coding coding : kAll) {
    const std::string coded = encode(coding, text);
    EXPECT_FALSE(decode(coding, coded, {.max_bytes = 40'000}).code);
    const Decoded decoded = decode(coding, coded, {.max_bytes = 39'999});
    EXPECT_EQ(decoded.code, Errc::body_too_large);
    EXPECT_EQ(decoded.context, std::string(name_of(coding)) + ": decodes to more than 39999 bytes");
  }
}

TEST(BodyDecoder, ABombIsNotBlownUp) {
  const std::string zeros(8 << 20, '\0');
  const DecodeLimits limits{.max_ratio = 100, .ratio_from = 1 << 20};
  for (const Coding coding : kAll) {
    const std::string coded = encode(coding, zeros);
    const Decoded decoded = decode(coding, coded, limits);
    EXPECT_EQ(decoded.code, Errc::body_too_large);
    EXPECT_EQ(decoded.context, std::string(name_of(coding)) + ": decodes to more than 100 times its size");
    EXPECT_LE(decoded.text.size(), (1 << 20) + 16 * 1024);
    EXPECT_EQ(decode(coding, coded, {.max_ratio = 0}).text.size(), zeros.size());
  }
  // The inner coding blows up, the outer one does not.
  const Coding stack[] = {Coding::gzip, Coding::gzip};
  EXPECT_EQ(decode(stack, encode_all(stack, zeros), limits).code, Errc::body_too_large);
}

TEST(BodyDecoder, RefusesALargeWindow) {
  const std::string text = sample(100'000);
  EXPECT_EQ(decode(Coding::zstd, zstd_with_window(text, 23)).text, text);
  const Decoded decoded = decode(Coding::zstd, zstd_with_window(text, 24));
  EXPECT_EQ(decoded.code, Errc::body_too_large);
  EXPECT_EQ(decoded.context, "zstd: its window is too large");
}

TEST(BodyDecoder, AReaderMayPauseBetweenPieces) {
  const std::string text = sample(200'000);
  const Coding coding = Coding::gzip;
  const std::string coded = encode(coding, text);
  BodyDecoder decoder(std::span(&coding, 1));
  std::string_view left = coded;
  std::string got;
  std::size_t stops = 0;
  for (bool more = true; more;) {
    const auto piece = decoder.next(left);
    ASSERT_TRUE(piece.has_value());
    got += *piece;
    more = !piece->empty();
    ++stops;
  }
  EXPECT_EQ(got, text);
  EXPECT_GT(stops, text.size() / (16 * 1024));
  const auto stopped = BodyDecoder(std::span(&coding, 1)).decode(coded, [](std::string_view) { return false; });
  ASSERT_TRUE(stopped.has_value());
  EXPECT_FALSE(*stopped);
}

TEST(ContentCoding, ReadsTheField) {
  using Codings = std::vector<Coding>;
  EXPECT_EQ(codings_of({}), Codings{});
  EXPECT_EQ(codings_of({{"content-encoding", "GZIP"}}), Codings{Coding::gzip});
  EXPECT_EQ(codings_of({{"Content-Encoding", "x-gzip"}}), Codings{Coding::gzip});
  EXPECT_EQ(codings_of({{"Content-Encoding", "identity"}}), Codings{});
  EXPECT_EQ(codings_of({{"Content-Encoding", "deflate, br"}, {"Content-Encoding", " zstd ,, gzip"}}),
            (Codings{Coding::deflate, Coding::br, Coding::zstd, Coding::gzip}));
  EXPECT_EQ(codings_of({{"Content-Encoding", "compress"}}), std::nullopt);
  EXPECT_EQ(codings_of({{"Content-Encoding", "gzip, unknown"}}), std::nullopt);
  EXPECT_EQ(codings_of({{"Content-Encoding", "gzip, gzip, gzip, gzip, gzip"}}), std::nullopt);
}

TEST(ContentCoding, IsAskedForByGosRule) {
  EXPECT_TRUE(wants_decoding({}));
  EXPECT_TRUE(wants_decoding({.method = "POST", .body = "x"}));
  EXPECT_FALSE(wants_decoding({.method = "HEAD"}));
  EXPECT_FALSE(wants_decoding({.headers = {{"accept-encoding", ""}}}));
  EXPECT_FALSE(wants_decoding({.headers = {{"Range", "bytes=0-1"}}}));
}

TEST(ContentCoding, DecodingDropsWhatDescribesTheCodedBody) {
  Headers headers = {{"A", "1"}, {"content-length", "5"}, {"Content-Encoding", "gzip"}, {"Content-Type", "x"}};
  drop_coding_fields(headers);
  EXPECT_EQ(headers, (Headers{{"A", "1"}, {"Content-Type", "x"}}));
}

}  // namespace
}  // namespace conntrace::http
