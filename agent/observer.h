// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conntrace/error.h"
#include "conntrace/event.h"

namespace conntrace::agent {

/// Which processes are observed. The kernel programs drop everything else.
struct Selection {
  std::vector<pid_t> pids;
  bool all = false;             ///< every process; pids is ignored
  bool follow_children = true;  ///< processes forked by observed ones are observed too
};

struct ObserverOptions {
  Selection selection;
  std::uint32_t ring_bytes = 8u << 20;  ///< a power of two
  bool dns = true;
  bool adopt_existing = true;  ///< tcp_existing for sockets that were there before
  bool io_edges = true;        ///< tcp_send and tcp_recv
  /// The first send and receive of a connection are told, then those that turn its direction after a pause this long.
  /// 0: all that turn it, which costs a busy connection two records a request.
  std::uint64_t io_pause_ns = 1'000'000;
  /// fd_limit_hit and tcp_accept; costs every system call of the machine: 8 to 105 ns were measured
  bool fd_failures = true;
  std::uint64_t census_interval_ms = 1000;  ///< fd_census of each observed process; 0: never
};

/// One loss counter, by program and reason. They only grow.
struct LossCounter {
  std::string where;
  GapReason reason = GapReason::unknown;
  std::uint64_t count = 0;
};

struct ObserverStats {
  std::uint64_t delivered = 0;  ///< events given to the sink
  std::uint64_t written = 0;    ///< records that the programs put into the ring
  std::uint64_t read = 0;       ///< records that came out of it; equal to `written` after drain(), if nothing happens
  std::vector<LossCounter> losses;
};

/// What one program has cost since it was loaded.
struct ProgramCost {
  std::string name;                     ///< tp_btf/inet_sock_set_state
  std::uint64_t runs = 0;               ///< only those while the kernel counted (kernel.bpf_stats_enabled)
  std::chrono::nanoseconds run_time{};  ///< of these
};

/// One kernel hook, and whether this machine lets it attach.
struct HookProbe {
  std::string name;  ///< tp_btf/inet_sock_set_state
  bool works = false;
  std::string error;  ///< why not
  std::string gives;  ///< which facts come from it, that is, what is lost without it
};

/// The agent's programs in this process: what the kernel sees of the selected processes.
///
/// Threading: one thread calls poll(); it runs the sink. Lifetime: programs are detached by the destructor, and by the
///            kernel if the process dies. Privilege: CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN; root has them.
/// Errors:    open() says which hook failed and why, with errno. Hooks that only enrich (DNS, fd failures) may fail:
///            missing() lists them. Losses are counted and reported as gap events.
/// Source:    Linux 6.1 and newer with BTF.
class Observer {
 public:
  /// The event's views are valid until the sink returns (own() keeps them).
  using Sink = std::function<void(const Event&)>;

  /// Loads, attaches, then adopts what exists already; process_start for each selected process comes first.
  [[nodiscard]] static Result<std::unique_ptr<Observer>> open(const ObserverOptions& options, Sink sink);
  virtual ~Observer() = default;

  /// Observes one more process and adopts its sockets. Does nothing if it is observed already.
  [[nodiscard]] virtual Result<void> add_process(pid_t pid) = 0;
  /// Observes it no more, nor its sockets.
  /// `start_time_ns`: which of those that had the number; nothing is done if it is another's by now.
  [[nodiscard]] virtual Result<void> remove_process(pid_t pid, std::uint64_t start_time_ns) = 0;
  /// Whether processes are observed that nobody added; those that are there now are added.
  [[nodiscard]] virtual Result<void> observe_all(bool all) = 0;
  /// Tells `sink` alone what everybody was told when a process was added: process_start and tcp_existing of the sockets
  /// that it has now.
  [[nodiscard]] virtual Result<void> describe_process(pid_t pid, const Sink& sink) = 0;
  /// Delivers what has happened; waits at most timeout_ms for it. Returns the number of events.
  [[nodiscard]] virtual Result<std::uint64_t> poll(int timeout_ms) = 0;
  /// Everything that happened before this call has been delivered when it returns.
  [[nodiscard]] virtual Result<void> drain() = 0;
  [[nodiscard]] virtual ObserverStats stats() const = 0;
  /// Of each program. The kernel counts while somebody has asked it to (BPF_ENABLE_STATS), which costs every program.
  [[nodiscard]] virtual Result<std::vector<ProgramCost>> costs() const = 0;
  /// Hooks that could not be attached; what they would have given is absent from events.
  [[nodiscard]] virtual const std::vector<HookProbe>& missing() const = 0;
};

/// Attaches every hook for a moment, one by one. For `conntrace doctor`.
[[nodiscard]] std::vector<HookProbe> probe_hooks();

/// Whether this build contains the BPF programs (-Dbpf=enabled).
[[nodiscard]] bool built_with_bpf() noexcept;

/// Where conntrace-agent listens unless it is told otherwise: CONNTRACE_AGENT in the environment, else
/// /run/conntrace/agent.sock.
[[nodiscard]] std::string agent_socket_path();

/// Open descriptors and limits of a process from /proc; works without privilege for one's own processes. The event's
/// source is proc. Errors: ESRCH the process is gone, EACCES it is another user's.
[[nodiscard]] Result<Event> proc_fd_census(pid_t pid);

}  // namespace conntrace::agent
