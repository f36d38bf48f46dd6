// SPDX-License-Identifier: Apache-2.0
// The first byte says which codings (two bits each, and how many); the rest is the coded body.
#include "http/body_decoder.h"

#include "tests/fuzz/targets.h"
#include "tests/unit/coders.h"

namespace conntrace::fuzz {
namespace {

using http::Coding;

constexpr std::uint64_t kMaxBytes = 200'000;

std::vector<Coding> codings_of(unsigned char choice) {
  std::vector<Coding> codings = {static_cast<Coding>(choice & 3)};
  if ((choice & 0x10) != 0) codings.push_back(static_cast<Coding>((choice >> 2) & 3));
  return codings;
}

char choice_of(const std::vector<Coding>& codings) {
  int choice = static_cast<int>(codings[0]);
  if (codings.size() > 1) choice |= 0x10 | (static_cast<int>(codings[1]) << 2);
  return static_cast<char>(choice);
}

struct Outcome {
  std::string text;
  std::error_code code;
};

Outcome decode(const std::vector<Coding>& codings, std::string_view coded, std::size_t step) {
  http::BodyDecoder decoder(codings, {.max_bytes = kMaxBytes, .max_ratio = 1000, .ratio_from = 50'000});
  Outcome outcome;
  const auto keep = [&outcome](std::string_view piece) {
    outcome.text += piece;
    return true;
  };
  while (!coded.empty()) {
    const std::string_view piece = coded.substr(0, step);
    coded.remove_prefix(piece.size());
    const auto done = decoder.decode(piece, keep);
    if (!done) {
      require(!done.error().context.empty(), "an error says which coding failed");
      return {std::move(outcome.text), done.error().code};
    }
  }
  if (const auto end = decoder.finish(); !end) outcome.code = end.error().code;
  return outcome;
}

void run(std::string_view input) {
  if (input.empty()) return;
  const std::vector<Coding> codings = codings_of(static_cast<unsigned char>(input[0]));
  input.remove_prefix(1);
  const Outcome whole = decode(codings, input, std::string_view::npos);
  require(whole.text.size() <= kMaxBytes, "no more than the limit");
  const Outcome pieces = decode(codings, input, 7);
  // An error may be found before or after the last piece was given; what is sound is the same.
  require(static_cast<bool>(whole.code) == static_cast<bool>(pieces.code), "the same verdict wherever the bytes break");
  require(whole.code || whole.text == pieces.text, "the same body wherever the bytes break");
}

std::vector<std::string> seeds() {
  const std::string text = "a text with a text in it, and a text in that\n";
  std::string longer;
  for (int i = 0; i < 50; ++i) longer += text + std::to_string(i);
  std::vector<std::string> result;
  for (const Coding coding : {Coding::gzip, Coding::deflate, Coding::br, Coding::zstd}) {
    result.push_back(choice_of({coding}) + http::encode(coding, text));
    result.push_back(choice_of({coding}) + http::encode(coding, longer));
    result.push_back(choice_of({coding}) + http::encode(coding, std::string(100'000, '0')));
    const std::vector<Coding> two = {coding, Coding::gzip};
    result.push_back(choice_of(two) + http::encode_all(two, text));
  }
  result.push_back(choice_of({Coding::deflate}) + http::raw_deflate(text));
  result.push_back(choice_of({Coding::gzip}) + http::encode(Coding::gzip, "one") + http::encode(Coding::gzip, "two"));
  return result;
}

}  // namespace

Target body_decoder() { return {"body_decoder", run, seeds}; }

}  // namespace conntrace::fuzz
