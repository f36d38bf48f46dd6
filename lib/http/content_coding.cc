// SPDX-License-Identifier: Apache-2.0
#include "http/content_coding.h"

#include "http/syntax.h"

namespace conntrace::http {
namespace {

std::optional<Coding> coding_of(std::string_view name) {
  // RFC 9110 section 8.4.1.3: x-gzip is gzip.
  if (iequals(name, "gzip") || iequals(name, "x-gzip")) return Coding::gzip;
  if (iequals(name, "deflate")) return Coding::deflate;
  if (iequals(name, "br")) return Coding::br;
  if (iequals(name, "zstd")) return Coding::zstd;
  return std::nullopt;
}

}  // namespace

std::string_view name_of(Coding coding) {
  switch (coding) {
    case Coding::gzip: return "gzip";
    case Coding::deflate: return "deflate";
    case Coding::br: return "br";
    case Coding::zstd: return "zstd";
  }
  return "unknown";
}

bool wants_decoding(const Request& request) {
  return request.method != "HEAD" && find_header(request.headers, "accept-encoding") == nullptr &&
         find_header(request.headers, "range") == nullptr;
}

std::optional<std::vector<Coding>> codings_of(const Headers& headers) {
  std::vector<Coding> codings;
  bool known = true;
  for (const auto& [name, value] : headers) {
    if (!iequals(name, "content-encoding")) continue;
    split(value, ',', [&](std::string_view part) {
      if (part.empty() || iequals(part, "identity")) return;
      const std::optional<Coding> coding = coding_of(part);
      known = known && coding;
      if (coding) codings.push_back(*coding);
    });
  }
  if (!known || codings.size() > kMaxCodings) return std::nullopt;
  return codings;
}

void drop_coding_fields(Headers& headers) {
  std::erase_if(headers, [](const auto& field) {
    return iequals(field.first, "content-encoding") || iequals(field.first, "content-length");
  });
}

}  // namespace conntrace::http
