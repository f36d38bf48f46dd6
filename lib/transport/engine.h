// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "conntrace/transport.h"
#include "pool/pool_core.h"
#include "pool/slab.h"
#include "transport/connection.h"
#include "transport/descriptors.h"
#include "transport/dialer.h"
#include "transport/event_loop.h"
#include "transport/hooks.h"
#include "transport/loop_gate.h"
#include "transport/request_state.h"
#include "transport/resolver.h"

namespace conntrace::transport {

/// The transport's inside: carries out what PoolCore decides, and tells PoolCore what happens.
///
/// Handlers only note inputs; drain() applies the actions that follow, one after the other, so nothing is re-entered.
///
/// Threading: the loop's, but for submit() and hook_exceptions().
class Engine {
 public:
  Engine(TransportOptions options, EventLoop& loop);
  ~Engine();

  /// From any thread.
  void submit(std::unique_ptr<RequestState> request);
  [[nodiscard]] std::uint64_t hook_exceptions() const noexcept { return hooks.exceptions(); }

  void end_of_turn();
  void drain();
  void cancel(RequestId request);
  void close_idle_connections();
  void shut_down();
  /// The application takes more of a body that it paused.
  void resume(RequestId request);
  /// The application takes no more of it.
  void abandon_body(RequestId request);
  /// A body source has more.
  void resume_upload(RequestId request);
  void tell_redirect(RequestId request, const RedirectInfo& info);
  void run_at(std::uint64_t number, MonoTime at, std::function<void(bool ended)> task);
  void cancel_delayed(std::uint64_t number);
  [[nodiscard]] PoolSnapshot snapshot() const;
  [[nodiscard]] std::vector<HostSnapshot> host_snapshots() const;
  void publish(const ClientTrace* only, bool live);

  // For connections.
  void dialled(Connection& connection);
  void dial_failed(Connection& connection);
  void peer_closed(Connection& connection, CloseReason reason);
  /// The exchange on the connection is over. `unusable`: why the connection cannot be kept.
  void exchange_done(Connection& connection, RequestState& request, std::optional<CloseReason> unusable, MonoTime now);
  /// It failed; the request is tried again if Go's rules allow it, else it ends with the error.
  void exchange_failed(Connection& connection, RequestState& request, Error error, CloseReason reason,
                       bool nothing_sent, bool before_response);
  /// Ends the request with the error. `reason` is for its connection, `outcome` for its place in the queue.
  void fail(RequestState& request, Error error, CloseReason reason, QueueOutcome outcome);
  /// Keeps a dial that has ended until nobody can be inside it.
  void bury(std::unique_ptr<Dial> dial);
  /// Gives the application a piece of the body; a pause is noted in the request.
  [[nodiscard]] BodyAction hand_over(RequestState& request, std::string_view piece);
  [[nodiscard]] RequestState* find_request(RequestId id) const;
  /// Makes a connection read on when the other connections and the timers have had their turn.
  void read_on_later(ConnectionId id);
  /// Why no dial may begin now: the application would have fewer descriptors left than fd_reserve.
  [[nodiscard]] std::optional<Error> descriptor_shortage() const;
  [[nodiscard]] std::error_code fire_interim(const RequestState& request, const Connection& connection,
                                             const Got1xxResponseInfo& info);
  template <auto hook, class MakeInfo>
  void fire(const RequestState* request, const Connection* connection, MakeInfo&& make, MonoTime at = {}) {
    hooks.fire<hook>(
        request != nullptr ? request->request.trace.get() : nullptr, [&] { return context(request, connection, at); },
        std::forward<MakeInfo>(make));
  }

  const TransportOptions options;
  EventLoop& loop;
  Hooks hooks;
  Dialer dialer;
  Resolver resolver;
  const std::shared_ptr<LoopGate> gate;  ///< for whoever may outlive the transport
  std::uint64_t netns = 0;
  std::uint64_t netns_cookie = 0;  ///< the kernel's other name of it; 0: it has none
  MonoTime turn_start{};           ///< events that came before it have been handled
  std::string read_buffer;
  std::vector<std::string> write_buffers;  ///< of exchanges that are over: an idle connection needs none
  std::vector<Text> scratch_texts;         ///< for lists in payloads
  std::string scratch_text;                ///< for a text that is made for a payload

 private:
  void start(std::unique_ptr<RequestState> owned);
  /// Errors: a name that may not be a trailer's.
  [[nodiscard]] Result<void> announce_trailers(RequestState& request);
  void look_for_connection(RequestState& request, MonoTime now);
  void request_timed_out(RequestId id);
  void cancel_before_start(RequestId id);
  void finish(RequestState& request, MonoTime now);
  /// finish(), now or when the application has taken what it paused.
  void finish_delivered(RequestState& request, MonoTime now);
  void give_up_body(RequestState& request);
  void complete(RequestState& request);
  void tell_end(const RequestState& request, const Connection* connection, MonoTime now);
  [[nodiscard]] Result<std::shared_ptr<const Destination>> target_of(const std::string& url);
  [[nodiscard]] HookContext context(const RequestState* request, const Connection* connection, MonoTime at) const;
  [[nodiscard]] Connection* own_dial(const RequestState& request) const;
  /// The same, also when it has failed just now.
  [[nodiscard]] const Connection* dial_of(const RequestState& request) const;
  void arm_pool_timer();

  // engine_limits.cc
  void acquire(RequestState& request, MonoTime now);
  void limit_wait(RequestState& request);
  void limit_wait_for_descriptor(RequestState& request);
  void waits_no_more(RequestState& request);
  [[nodiscard]] int missing_descriptor(const Connection& connection) const;
  void no_descriptor(const Connection& connection, int error_number);
  void tell_fd_pressure(const Connection& connection, int error_number, std::uint64_t freed);

  // engine_actions.cc
  void apply(const pool::Dial& action);
  void apply(const pool::Deliver& action);
  void apply(const pool::Queued& action);
  void apply(const pool::Dequeued& action);
  void apply(const pool::PutIdle& action);
  void apply(const pool::Close& action);
  void apply(const pool::Refused& action);
  void apply(const pool::AcquireFailed& action);
  [[nodiscard]] std::vector<Holder> holders_of(const std::vector<pool::Slot>& slots, const RequestState& waiter) const;
  [[nodiscard]] Phase doing(const pool::Slot& slot) const;
  void bury(ConnectionId id);

  Descriptors descriptors_;
  pool::PoolCore pool_;
  pool::Actions actions_;
  std::size_t next_action_ = 0;
  std::deque<RequestState*> finished_;
  std::vector<ConnectionId> failed_dials_;
  std::unordered_map<RequestId, std::unique_ptr<RequestState>> requests_;
  pool::Slab<Connection> connection_memory_;
  std::pmr::unsynchronized_pool_resource node_memory_;  ///< like it, of what follows
  std::pmr::unordered_map<ConnectionId, pool::Slab<Connection>::Ptr> connections_{&node_memory_};
  std::vector<pool::Slab<Connection>::Ptr> graves_;
  std::vector<std::unique_ptr<Dial>> dial_graves_;
  std::vector<Holder> scratch_holders_;
  std::vector<Candidate> scratch_candidates_;
  std::vector<CloseCount> scratch_counts_;
  std::unordered_map<std::string, std::shared_ptr<const Destination>> targets_;
  std::mutex inbox_mutex_;
  std::vector<std::unique_ptr<RequestState>> inbox_;
  std::deque<std::unique_ptr<RequestState>> local_inbox_;
  EventLoop::Timer pool_timer_{};
  struct Delayed {
    EventLoop::Timer timer;
    std::function<void(bool ended)> task;
  };
  std::map<std::uint64_t, Delayed> delayed_;
  bool draining_ = false;
  bool shutting_down_ = false;
};

}  // namespace conntrace::transport
