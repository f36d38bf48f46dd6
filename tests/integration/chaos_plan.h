// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "conntrace/client.h"
#include "support/hostile_acts.h"
#include "support/hostile_server.h"
#include "support/splitmix.h"

namespace conntrace::test {

/// Where a request goes.
enum class Door : std::uint8_t { server, refused, fin, reset, mute, deaf, no_name, tls_to_plain, plain_to_tls };
enum class Upload : std::uint8_t { none, text, sized_source, chunked_source, failing_source, lying_source };
enum class Style : std::uint8_t { blocking, future, callback, open };
enum class Reading : std::uint8_t { all, discard, stop, pause };
enum class Cancel : std::uint8_t { none, before, stop_token, by_number };

/// The servers of a run.
struct ChaosWorld {
  const HostileServer& plain;
  const HostileServer* tls = nullptr;  ///< nothing: all is plain
  const HostileDoors& doors;
  std::uint64_t hosts = 6;  ///< 127.0.0.1 and on: each is a host of its own to the pool
  bool uses_doors = true;   ///< deaf and mute ones hold a limit of one for as long as a dial may take
};

/// Everything about one request that chance decides, and what may come of it.
struct ChaosPlan {
  Errand errand;
  Door door = Door::server;
  std::string method = "GET";
  std::string url;
  Upload upload = Upload::none;
  std::size_t upload_size = 0;
  bool rewindable = true;
  bool expects_continue = false;
  bool connection_close = false;
  Style style = Style::blocking;
  Reading reading = Reading::all;
  Cancel cancel = Cancel::none;
  std::chrono::microseconds cancel_after{};
  std::optional<std::chrono::nanoseconds> short_timeout;

  /// The same for the same seed and number.
  static ChaosPlan make(std::uint64_t seed, std::uint64_t number, const ChaosWorld& world);
  [[nodiscard]] std::string describe() const;
};

/// What a run's limits allow to happen to any request.
struct ChaosAllows {
  bool queue_full = false;
  bool acquire_timeout = false;
  bool shutdown = false;
};

/// What came of a request.
struct ChaosOutcome {
  Result<Response> result;
  std::string body;
  bool body_is_whole = true;  ///< it was read to its end
};

/// Empty, or why this cannot have come of that.
[[nodiscard]] std::string complaint_about(const ChaosPlan& plan, const ChaosAllows& allows,
                                          const ChaosOutcome& outcome);

}  // namespace conntrace::test
