// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "integration/chaos_plan.h"
#include "support/meddler.h"

namespace conntrace::test {

/// Sends planned requests in all ways that a Client has, and judges what comes of them.
///
/// Threading: any thread may call.
/// Lifetime:  shares the client's transport until forget_client(). The Meddler must outlive the transport: bodies that
///            are uploaded use it.
class ChaosSender {
 public:
  ChaosSender(Client client, const std::shared_ptr<Transport>& transport, Meddler& meddler, ChaosAllows allows);
  ChaosSender(const ChaosSender&) = delete;
  ChaosSender& operator=(const ChaosSender&) = delete;

  /// Blocks until the request has ended, or, for callbacks, while many are under way.
  void send(const ChaosPlan& plan);
  /// Only starts it.
  void start(const ChaosPlan& plan);
  /// Nothing may be sent afterwards.
  void forget_client() { client_ = Client(nullptr); }
  /// Until all have ended.
  void wait();
  [[nodiscard]] std::uint64_t ended() const { return ended_; }
  [[nodiscard]] std::uint64_t succeeded() const { return succeeded_; }
  /// Ended by a limit.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  /// Empty, or the first requests that ended as they cannot have, a line each.
  [[nodiscard]] std::string complaints() const;

 private:
  struct Errand;
  std::shared_ptr<Errand> prepare(const ChaosPlan& plan);
  void open(Errand& errand);
  void finish(Errand& errand, Result<Response> result);

  Client client_;
  std::weak_ptr<Transport> transport_;  ///< of what happens late
  Meddler& meddler_;
  const ChaosAllows allows_;
  std::atomic<std::uint64_t> ended_ = 0;
  std::atomic<std::uint64_t> succeeded_ = 0;
  std::atomic<std::uint64_t> refused_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable fewer_;
  std::uint64_t under_way_ = 0;
  std::uint64_t broken_ = 0;
  std::vector<std::string> complaints_;
};

}  // namespace conntrace::test
