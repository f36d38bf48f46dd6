// SPDX-License-Identifier: Apache-2.0
#include "conntrace/client_trace.h"

#include <type_traits>

namespace conntrace {
namespace {

template <class Info>
Hook<Info> both(const Hook<Info>& newer, const Hook<Info>& older) {
  if (!newer) return older;
  if (!older) return newer;
  return [newer, older](const HookContext& context, const Info& info) {
    newer(context, info);
    older(context, info);
  };
}

using InterimHook = decltype(ClientTrace::got_1xx_response);

InterimHook both(const InterimHook& newer, const InterimHook& older) {
  if (!newer) return older;
  if (!older) return newer;
  return [newer, older](const HookContext& context, const Got1xxResponseInfo& info) {
    const std::error_code first = newer(context, info);
    const std::error_code second = older(context, info);
    return first ? first : second;
  };
}

// Every row of the vocabulary that the library makes has a hook of its name and payload, and the other way round.
template <class Member>
struct HookPayload;
template <class Result, class Info>
struct HookPayload<std::function<Result(const HookContext&, const Info&)>> {
  using type = Info;
};
constexpr std::size_t kHookRows = 0
#define CONNTRACE_COUNT_HOOK 1
#define CONNTRACE_COUNT_KERNEL 0
#define CONNTRACE_COUNT_STREAM 0
#define CONNTRACE_ROW(name, payload, origin, meaning) +CONNTRACE_COUNT_##origin
    CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
    ;
static_assert(sizeof(ClientTrace) == kHookRows * sizeof(std::function<void()>) + sizeof(ClientTrace::listening),
              "a hook without a row, or a row without");

#define CONNTRACE_CHECK_HOOK(name, payload) \
  static_assert(std::is_same_v<HookPayload<decltype(ClientTrace::name)>::type, payload>);
#define CONNTRACE_CHECK_KERNEL(name, payload)
#define CONNTRACE_CHECK_STREAM(name, payload)
#define CONNTRACE_ROW(name, payload, origin, meaning) CONNTRACE_CHECK_##origin(name, payload)
CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW

}  // namespace

ClientTrace compose(const ClientTrace& newer, const ClientTrace& older) {
  ClientTrace result;
#define CONNTRACE_COMPOSE_HOOK(name) result.name = both(newer.name, older.name);
#define CONNTRACE_COMPOSE_KERNEL(name)
#define CONNTRACE_COMPOSE_STREAM(name)
#define CONNTRACE_ROW(name, payload, origin, meaning) CONNTRACE_COMPOSE_##origin(name)
  CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
  return result;
}

}  // namespace conntrace
