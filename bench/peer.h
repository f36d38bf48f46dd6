// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace conntrace::bench {

/// What a peer has to do: keep `concurrency` GETs of `url` under way.
struct Load {
  std::string url;
  std::size_t concurrency = 1;
  std::string record_to;  ///< a file, for the peer that records
  std::string ca_file;    ///< whom to trust, if the URL is https
};

/// What it has done so far, in this process.
struct Tally {
  std::uint64_t requests = 0;
  std::uint64_t failed = 0;
  std::uint64_t body_bytes = 0;
  std::uint64_t hooks = 0;
  std::uint64_t records_lost = 0;
};

/// Calls `observe` about every 10 ms until it answers false; then ends.
using Observe = std::function<bool(const Tally&)>;
using Peer = void (*)(const Load&, const Observe&);

/// Our Client through callbacks: without a trace, with every hook counting, recording to Load::record_to, and with a
/// tap to which nobody listens.
void run_client(const Load& load, const Observe& observe);
void run_client_hooks(const Load& load, const Observe& observe);
void run_client_record(const Load& load, const Observe& observe);
void run_client_tap(const Load& load, const Observe& observe);
/// Our Client called from as many threads as requests are under way, each waiting for its response.
void run_client_blocking(const Load& load, const Observe& observe);
/// libcurl's multi interface with its own pool: curl_multi_socket_action on epoll, and curl_multi_poll.
void run_libcurl_socket(const Load& load, const Observe& observe);
void run_libcurl_poll(const Load& load, const Observe& observe);

}  // namespace conntrace::bench
