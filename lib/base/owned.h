// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

namespace conntrace {

template <auto release>
struct Release {
  template <class T>
  void operator()(T* handle) const noexcept {
    release(handle);
  }
};

/// Owns a C handle and gives it back with `release`.
template <class T, auto release>
using Owned = std::unique_ptr<T, Release<release>>;

}  // namespace conntrace
