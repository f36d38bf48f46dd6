// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conntrace::test {

class Peer;

// What a hostile server does with one request. `whole`: the response is complete and says what body_text() says.
// clang-format off
#define CONNTRACE_HOSTILE_ACTS(X) \
  X(sized, true)             /* Content-Length */ \
  X(chunked, true)           /* in chunks of all sizes, with a trailer */ \
  X(until_close, true)       /* the end of the connection is the end of the body */ \
  X(close_after, true)       /* Connection: close, and does */ \
  X(close_unsaid, true)      /* closes at once, and had not said so */ \
  X(reset_idle, true)        /* resets while the connection is idle */ \
  X(linger, true)            /* closes after it was idle for a moment */ \
  X(interim, true)           /* 102, 103 first */ \
  X(slow, true)              /* in pieces, with pauses */ \
  X(redirect, true)          /* 307 to `sized` */ \
  X(unavailable, false)      /* 503, complete */ \
  X(early, false)            /* 413 without reading the body */ \
  X(fin_before_head, false) \
  X(reset_before_head, false) \
  X(fin_in_head, false) \
  X(reset_in_head, false) \
  X(reset_in_body, false) \
  X(cut_body, false)         /* FIN before Content-Length is reached */ \
  X(cut_chunk, false)        /* FIN within a chunk */ \
  X(garbage_head, false) \
  X(garbage_chunk, false) \
  X(two_lengths, false)      /* conflicting Content-Length fields */ \
  X(silent, false)           /* never answers */ \
  X(stuck, false)            /* half a body, then nothing */
// clang-format on

#define CONNTRACE_ACT_VALUE(name, whole) name,
enum class Act : std::uint8_t { CONNTRACE_HOSTILE_ACTS(CONNTRACE_ACT_VALUE) };
#undef CONNTRACE_ACT_VALUE
inline constexpr std::size_t kActs = static_cast<std::size_t>(Act::stuck) + 1;

[[nodiscard]] std::string_view name_of(Act act);
/// Whether the client gets a complete 200 with body_text(), if it waits for it.
[[nodiscard]] bool is_whole(Act act);
/// Whether the server answers only when its client has given up.
[[nodiscard]] inline bool never_ends(Act act) { return act == Act::silent || act == Act::stuck; }

/// What a request asks for; its URL's path says it, so that client and server agree without talking of it otherwise.
struct Errand {
  Act act = Act::sized;
  std::uint64_t number = 0;
  std::size_t size = 0;  ///< of the response body
};
[[nodiscard]] std::string path_of(const Errand& errand);
[[nodiscard]] std::optional<Errand> errand_of(std::string_view request_line);
/// The body of the response: no two errands have the same one.
[[nodiscard]] std::string body_text(const Errand& errand);

/// Does it. False: the connection has ended.
[[nodiscard]] bool perform(Peer& peer, const Errand& errand, const std::string& request_head);

}  // namespace conntrace::test
