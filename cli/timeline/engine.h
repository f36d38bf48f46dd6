// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "timeline/correlator.h"
#include "timeline/dns_table.h"
#include "timeline/process_table.h"
#include "timeline/socket_table.h"

namespace conntrace::cli {

/// The correlation of one boot of one machine: records in time order go in, timelines come out.
class Engine {
 public:
  Engine(std::string boot_id, std::uint64_t settle_ns, const TimelineSink& sink, CorrelatorStats& stats);

  /// Counts the record as used or unmatched. Precondition: event.known().
  void take(const Event& event);
  /// Gives out what was waiting until now_ns.
  void give_out(std::uint64_t now_ns);
  /// Gives out everything.
  void finish();

  void set_boot_id(std::string boot_id) { boot_id_ = std::move(boot_id); }
  [[nodiscard]] const std::string& boot_id() const { return boot_id_; }

 private:
  using Process = std::shared_ptr<ProcessState>;
  using Socket = std::shared_ptr<SocketState>;
  using Dial = std::shared_ptr<DialState>;
  using Request = std::shared_ptr<RequestState>;

  /// A hook record with everything it belongs to.
  struct HookPlace {
    const EventHeader& header;
    Process process;
    Request request;                  ///< null: an event of a connection only
    AttemptState* attempt = nullptr;  ///< of request
    Dial dial;                        ///< null: no connection number
    Socket socket;                    ///< null: no cookie, and the dial has no connection yet
    bool late = false;                ///< its request's timeline was given out before
  };

  // records.cc: what records belong to. Each returns whether the record was used.
  bool dispatch(const Event& event);
  bool take_stream(const Event& event);
  bool take_process(const Event& event);
  [[nodiscard]] Process process_of(const EventHeader& header);
  [[nodiscard]] bool kernel_record(const Event& event) const;

  // hook_records.cc
  bool take_hook(const Event& event);
  [[nodiscard]] HookPlace place_of(const Event& event, const Process& process);
  static void claim(SocketState& socket, const HookPlace& place);
  void take_request(const Event& event, HookPlace& place);
  void take_exchange(const Event& event, HookPlace& place);
  void take_live(const Event& event, HookPlace& place);
  void take_queue(const Event& event, HookPlace& place);
  // dial_records.cc
  void take_dial(const Event& event, HookPlace& place);
  void take_pool(const Event& event, HookPlace& place);
  void take_conn_closed(const ConnClosedInfo& info, HookPlace& place);
  void adopt_connection(HookPlace& place);
  void end_lost_tries(const Dial& dial, bool succeeded);
  static void remember_closed(HookPlace& place);

  // kernel_records.cc
  bool take_kernel(const Event& event);
  /// `accepted_by`: whose record it is.
  void take_tcp(const Event& event, const Socket& socket, const Process& accepted_by);
  [[nodiscard]] Socket kernel_socket(const Event& event, const Process& process);
  void take_state(const TcpStateInfo& info, std::uint64_t mono_ns, SocketState& socket);

  // give_out.cc
  void schedule(const Request& request);
  void schedule(const Socket& socket);
  void schedule_at(const Socket& socket, std::uint64_t due_ns);
  void emit(const Request& request);
  void emit(const Socket& socket);
  void emit_census(const Process& process, const EventHeader& header, std::optional<FdAlarm> alarm);
  void schedule_exit(const Process& process);
  void forget(const Process& process);

  // describe.cc: from state to what timelines say of it
  [[nodiscard]] std::string boot_prefix() const;
  [[nodiscard]] std::string process_id(const ProcessState& process) const;
  [[nodiscard]] std::string request_id(const ProcessState& process, std::uint64_t number) const;
  [[nodiscard]] std::optional<std::string> wall_time(const ProcessState& process, std::uint64_t mono_ns) const;
  [[nodiscard]] ProcessFacts facts_of(const ProcessState& process, Unavailable& unavailable) const;
  [[nodiscard]] bool touched(const ProcessState& process, std::uint64_t from_ns, std::uint64_t to_ns) const;
  [[nodiscard]] std::string no_kernel(const ProcessState& process) const;
  [[nodiscard]] std::optional<ClosedFacts> closed_of(const SocketState& socket, std::uint64_t origin_ns) const;
  [[nodiscard]] std::vector<RejectedConnection> candidates_of(const ProcessState& process,
                                                              const std::vector<Candidate>& candidates,
                                                              std::uint64_t origin_ns) const;
  [[nodiscard]] std::vector<DnsExchange> lookups_of(const DialState& dial, std::uint64_t origin_ns) const {
    return dns_.of_lookup(dial, origin_ns);
  }
  // request_timeline.cc, connection_timeline.cc
  [[nodiscard]] RequestTimeline timeline_of(const RequestState& request) const;
  [[nodiscard]] RequestConnection connection_of(const AttemptState& attempt, std::uint64_t end_ns,
                                                RequestTimeline& out) const;
  [[nodiscard]] ConnectionTimeline timeline_of(const SocketState& socket) const;
  void add_kernel_facts(const SocketState& socket, ConnectionTimeline& out) const;

  friend class PhaseMaker;

  struct Waiting {
    std::uint64_t due_ns;
    std::uint64_t number;  ///< keeps the order of equal moments
    std::variant<Request, Socket, Process> what;
    bool operator<(const Waiting& other) const {
      return std::tie(due_ns, number) < std::tie(other.due_ns, other.number);
    }
  };

  std::string boot_id_;
  std::uint64_t settle_ns_;
  const TimelineSink& sink_;
  CorrelatorStats& stats_;
  ProcessTable processes_;
  SocketTable sockets_;
  std::vector<Socket> loose_;  ///< sockets whose cookie nobody said
  DnsTable dns_;
  Process last_hook_process_;
  std::optional<ClockPair> clock_;
  std::map<std::pair<Source, std::uint32_t>, std::uint64_t> last_record_ns_;
  std::map<std::pair<Source, std::uint32_t>, std::uint64_t> lost_;
  std::vector<LossSpan> losses_;  ///< that may concern any process
  bool kernel_seen_ = false;
  std::uint64_t now_ns_ = 0;
  std::uint64_t sequence_ = 0;
  std::set<Waiting> waiting_;
};

}  // namespace conntrace::cli
