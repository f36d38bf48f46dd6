// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "conntrace/client_trace.h"
#include "conntrace/event.h"

namespace conntrace {

/// A trace whose hooks, all but those of the kinds `left_out`, call hear.operator()<kind>(context, info).
template <EventKind... left_out, class Hear>
[[nodiscard]] std::shared_ptr<ClientTrace> every_hook(const Hear& hear) {
  auto trace = std::make_shared<ClientTrace>();
  const auto set =
      [&hear]<EventKind kind, class Result>(std::function<Result(const HookContext&, const PayloadOf<kind>&)>& hook) {
        if constexpr (!((kind == left_out) || ...)) {
          hook = [hear](const HookContext& context, const PayloadOf<kind>& info) {
            hear.template operator()<kind>(context, info);
            return Result();
          };
        }
      };
#define CONNTRACE_SET_HOOK(name) set.template operator()<EventKind::name>(trace->name);
#define CONNTRACE_SET_KERNEL(name)
#define CONNTRACE_SET_STREAM(name)
#define CONNTRACE_ROW(name, payload, origin, meaning) CONNTRACE_SET_##origin(name)
  CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
#undef CONNTRACE_SET_STREAM
#undef CONNTRACE_SET_KERNEL
#undef CONNTRACE_SET_HOOK
  return trace;
}

}  // namespace conntrace
