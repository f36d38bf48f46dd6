// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "conntrace/clock.h"
#include "conntrace/error.h"
#include "conntrace/worker_pool.h"
#include "transport/event_loop.h"

namespace conntrace::transport {

/// What getaddrinfo said, and who asked it when: that joins the kernel's DNS records.
struct Resolved {
  std::vector<std::string> addresses;  ///< without port, in the resolver's order
  std::optional<Error> error;
  std::uint32_t tid = 0;
  MonoTime start{};
  MonoTime end{};
};

/// getaddrinfo on a bounded WorkerPool; concurrent lookups of one name share one call.
///
/// Threading: the loop's. Lifetime: the destructor waits for the calls under way; getaddrinfo cannot be interrupted.
/// Errors:    name_not_resolved with the resolver's words; the errno behind EAI_SYSTEM (EMFILE, …); queue_full.
class Resolver {
 public:
  /// `coalesced`: another lookup's call answered this one too.
  using Callback = std::function<void(const Resolved&, bool coalesced)>;

  Resolver(EventLoop& loop, WorkerPoolOptions workers);
  ~Resolver();

  /// Calls back on a later turn of the loop.
  void lookup(const std::string& host, Callback done);

 private:
  void finish(const std::string& host, const Resolved& resolved);

  EventLoop& loop_;
  std::unordered_map<std::string, std::vector<Callback>> waiting_;
  std::unique_ptr<WorkerPool> workers_;
};

}  // namespace conntrace::transport
