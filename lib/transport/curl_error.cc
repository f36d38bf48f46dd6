// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>

#include "conntrace/error.h"

namespace conntrace {
namespace {

class CurlCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "curl"; }
  std::string message(int value) const override { return curl_easy_strerror(static_cast<CURLcode>(value)); }
};

}  // namespace

const std::error_category& curl_category() noexcept {
  static const CurlCategory category;
  return category;
}

}  // namespace conntrace
