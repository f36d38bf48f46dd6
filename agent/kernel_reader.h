// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "agent/observer.h"
#include "agent/pending_questions.h"
#include "bpf/kernel_event.h"

namespace conntrace::agent {

/// Turns the kernel's records into events.
///
/// Threading: one thread. Lifetime: an event's views are valid until the sink returns.
/// Errors:    a record or DNS message that makes no sense is counted, not delivered.
class KernelReader {
 public:
  using Sink = Observer::Sink;
  /// What other parts do with process records, which need /proc.
  using ProcessSink = std::function<void(const conntrace_record&)>;

  KernelReader(Sink sink, ProcessSink processes);

  void read(std::span<const std::byte> record);

  /// The number of the last barrier that came out of the ring.
  [[nodiscard]] std::uint64_t barrier() const { return barrier_; }
  /// Records that came out of the ring, malformed ones too.
  [[nodiscard]] std::uint64_t from_ring() const;
  /// Numbers in the sequences of the CPUs that did not come. Right when all that was written has been read.
  [[nodiscard]] std::uint64_t missing() const;
  [[nodiscard]] std::uint64_t malformed_records() const { return malformed_records_; }
  [[nodiscard]] std::uint64_t malformed_dns() const { return malformed_dns_; }

 private:
  void number(std::uint64_t sequence);
  void read_tcp(const conntrace_record& record);
  void read_fd(const conntrace_record& record);
  void read_dns(const conntrace_dns& dns, std::span<const std::uint8_t> payload);

  Sink sink_;
  ProcessSink processes_;
  PendingQuestions questions_;
  std::uint64_t barrier_ = 0;
  struct Sequence {
    std::uint64_t highest = 0;
    std::uint64_t count = 0;
  };
  std::array<Sequence, CONNTRACE_CPUS> sequences_;
  std::uint64_t malformed_records_ = 0;
  std::uint64_t malformed_dns_ = 0;
};

/// The header of an event whose source is the kernel.
[[nodiscard]] EventHeader event_header(const conntrace_header& header);
/// The command name in a record, which is not terminated if it fills its place.
[[nodiscard]] std::string_view comm_of(const conntrace_header& header);

}  // namespace conntrace::agent
