// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conntrace/event.h"
#include "timeline/connection_model.h"

namespace conntrace::cli {

// What the correlator knows while records still come. Units: nanoseconds of CLOCK_MONOTONIC; 0 is "not seen".

struct ProcessState;

/// conn_closed of the library, or what follows from connect_done of a dial that chose another address.
struct HookClose {
  std::uint64_t at_ns = 0;
  CloseReason reason = CloseReason::unknown;
  ClosedBy by = ClosedBy::unknown;
  int error_number = 0;
  std::optional<std::uint64_t> idle_ns;
  bool inferred = false;
  bool by_inferred = false;
};

/// What the kernel said of the end of a socket: the moments of the first of each kind.
struct KernelClose {
  std::uint64_t local_fin_ns = 0;
  std::uint64_t peer_fin_ns = 0;
  std::uint64_t reset_received_ns = 0;
  std::uint64_t reset_sent_ns = 0;
  std::uint64_t aborted_ns = 0;         ///< ESTABLISHED to CLOSE, without a FIN
  std::uint64_t connect_failed_ns = 0;  ///< SYN_SENT to CLOSE
  std::uint64_t state_closed_ns = 0;    ///< any state to CLOSE
  std::uint64_t destroyed_ns = 0;       ///< tcp_closed
  int error_number = 0;
};

struct UseState {
  std::uint64_t request = 0;
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
};

struct GapSpan {
  std::uint64_t start_ns = 0;
  std::uint64_t duration_ns = 0;
};

/// One socket, by library, kernel or both.
struct SocketState {
  std::shared_ptr<ProcessState> process;
  std::uint64_t cookie = 0;
  std::uint64_t netns = 0;
  std::uint64_t number = 0;
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
  bool by_hook = false;
  bool by_kernel = false;
  bool by_proc = false;
  bool by_diag = false;
  bool existed_before = false;
  bool listening = false;
  bool start_missing = false;  ///< records began in the middle, and nobody said that it existed before
  Direction direction = Direction::unknown;
  std::string local;
  std::string remote;
  std::string protocol;
  std::optional<int> fd;

  // By the library.
  std::uint64_t opened_ns = 0;
  std::optional<std::uint64_t> dialled_by;
  std::optional<WhyNew> why_new;
  std::vector<Candidate> candidates;
  std::optional<HookClose> hook_close;
  std::optional<std::uint64_t> requests;
  std::deque<UseState> uses;
  std::uint64_t idle_since_ns = 0;  ///< in the pool now

  // By the kernel.
  std::uint64_t syn_ns = 0;
  std::uint64_t established_ns = 0;
  std::uint64_t accepted_ns = 0;
  std::optional<std::uint64_t> handshake_ns;
  std::uint32_t syn_retransmits = 0;
  std::uint32_t srtt_us = 0;
  std::uint32_t retransmits = 0;
  std::deque<std::uint64_t> retransmit_times;
  std::uint64_t retransmits_known_from_ns = 0;  ///< retransmit_times is whole from here on
  std::uint64_t sent_after_peer_fin_ns = 0;
  KernelClose kernel_close;

  std::optional<std::uint64_t> bytes_sent;
  std::optional<std::uint64_t> bytes_received;
  std::deque<GapSpan> idle_gaps;
  bool gaps_cut = false;
  bool uses_cut = false;

  std::uint64_t due_ns = 0;  ///< when the timeline is given out
  bool emitted = false;

  [[nodiscard]] bool over() const {
    return hook_close || kernel_close.destroyed_ns != 0 || kernel_close.state_closed_ns != 0;
  }
};

/// One connect of a dial.
struct ConnectTry {
  std::string address;
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
  std::string error;
  int error_number = 0;
  std::shared_ptr<SocketState> socket;
};

/// A connection number of a process: the dial and, if it succeeded, the connection.
struct DialState {
  std::uint64_t number = 0;
  std::uint64_t request = 0;  ///< who began it
  std::uint32_t attempt = 0;
  std::uint64_t began_ns = 0;
  std::optional<WhyNew> why_new;
  std::string host_port;
  std::vector<Candidate> candidates;
  std::uint64_t dns_start_ns = 0;
  std::uint64_t dns_done_ns = 0;
  std::string dns_host;
  std::vector<std::string> dns_addresses;
  std::string dns_error;
  bool dns_coalesced = false;
  std::uint32_t resolver_tid = 0;
  std::uint64_t resolver_start_ns = 0;
  std::uint64_t resolver_end_ns = 0;
  std::vector<ConnectTry> tries;
  /// With an https proxy, with the target, or both in this order.
  struct Handshake {
    std::uint64_t start_ns = 0;
    std::uint64_t done_ns = 0;
    TlsFacts facts;
  };
  std::vector<Handshake> handshakes;
  std::uint64_t proxy_start_ns = 0;
  std::uint64_t proxy_done_ns = 0;
  ProxyFacts proxy;
  std::uint64_t done_ns = 0;
  std::string error;
  std::shared_ptr<SocketState> socket;  ///< the one that became the connection
};

}  // namespace conntrace::cli
