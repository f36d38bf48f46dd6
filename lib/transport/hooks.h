// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <system_error>

#include "conntrace/client_trace.h"

namespace conntrace::transport {

/// Runs hooks: a request's first, then the transport's. What a hook throws is counted and dropped.
class Hooks {
 public:
  explicit Hooks(std::shared_ptr<const ClientTrace> wide) : wide_(std::move(wide)) {}

  /// `context` and `make` are called only if somebody listens.
  template <auto hook, class MakeContext, class MakeInfo>
  void fire(const ClientTrace* own, MakeContext&& context, MakeInfo&& make) {
    const bool here = hears<hook>(own);
    const bool wide = hears<hook>(wide_.get());
    if (!here && !wide) return;
    const HookContext where = context();
    const auto info = make();
    if (here) guard([&] { (own->*hook)(where, info); });
    if (wide) guard([&] { ((*wide_).*hook)(where, info); });
  }

  /// The hook whose error ends the request.
  template <class MakeContext>
  [[nodiscard]] std::error_code fire_interim(const ClientTrace* own, MakeContext&& context,
                                             const Got1xxResponseInfo& info) {
    std::error_code first;
    for (const ClientTrace* trace : {own, wide_.get()}) {
      if (!listens(trace) || !trace->got_1xx_response) continue;
      guard([&] {
        const std::error_code error = trace->got_1xx_response(context(), info);
        if (!first) first = error;
      });
    }
    return first;
  }

  /// Whether fire() would call anybody.
  template <auto hook>
  [[nodiscard]] bool heard(const ClientTrace* own) const {
    return hears<hook>(own) || hears<hook>(wide_.get());
  }
  /// Whether anybody may listen to a request with this trace of its own.
  [[nodiscard]] bool heard_by(const ClientTrace* own) const { return listens(own) || listens(wide_.get()); }

  template <class Call>
  void guard(Call&& call) noexcept {
    try {
      call();
    } catch (...) {
      exceptions_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  [[nodiscard]] const std::shared_ptr<const ClientTrace>& wide() const { return wide_; }
  [[nodiscard]] std::uint64_t exceptions() const noexcept { return exceptions_.load(std::memory_order_relaxed); }

 private:
  [[nodiscard]] static bool listens(const ClientTrace* trace) {
    return trace != nullptr && (trace->listening == nullptr || trace->listening->load(std::memory_order_relaxed));
  }
  template <auto hook>
  [[nodiscard]] static bool hears(const ClientTrace* trace) {
    return listens(trace) && trace->*hook;
  }

  std::shared_ptr<const ClientTrace> wide_;
  std::atomic<std::uint64_t> exceptions_ = 0;
};

}  // namespace conntrace::transport
