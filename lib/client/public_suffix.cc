// SPDX-License-Identifier: Apache-2.0
#include "client/public_suffix.h"

#include <libpsl.h>

namespace conntrace::client {

bool is_public_suffix(const std::string& host) {
  const psl_ctx_t* list = psl_builtin();
  if (list == nullptr) return host.find('.') == std::string::npos;  // a libpsl without a list
  return psl_is_public_suffix(list, host.c_str()) != 0;
}

std::string registrable_domain(const std::string& host, bool is_address) {
  const psl_ctx_t* list = psl_builtin();
  if (is_address || list == nullptr) return host;
  const char* domain = psl_registrable_domain(list, host.c_str());
  return domain != nullptr ? domain : host;
}

}  // namespace conntrace::client
