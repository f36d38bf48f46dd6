// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace conntrace {

/// Whether a sanitizer watches, which may take 100 times as long: what tries many cases tries fewer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace conntrace
