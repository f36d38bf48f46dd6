// SPDX-License-Identifier: Apache-2.0
#include "http/replayable.h"

#include <algorithm>
#include <iterator>

namespace conntrace::http {

bool is_replayable(const Request& request) {
  static constexpr std::string_view kMethods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"};
  return std::find(std::begin(kMethods), std::end(kMethods), request.method) != std::end(kMethods) ||
         find_header(request.headers, "idempotency-key") != nullptr ||
         find_header(request.headers, "x-idempotency-key") != nullptr;
}

}  // namespace conntrace::http
