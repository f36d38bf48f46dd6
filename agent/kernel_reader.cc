// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel_reader.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "agent/address.h"
#include "agent/dns_message.h"
#include "agent/syscall_names.h"

namespace conntrace::agent {
namespace {

std::optional<std::uint64_t> known(std::uint64_t value) {
  if (value == 0) return std::nullopt;
  return value;
}

std::string_view errno_name(int error_number) {
  const char* const name = strerrorname_np(error_number);
  return name == nullptr ? std::string_view() : std::string_view(name);
}

std::optional<int> fd_of(const conntrace_tcp& tcp) {
  if (tcp.fd < 0) return std::nullopt;
  return tcp.fd;
}

TcpState tcp_state(std::uint8_t state) { return static_cast<TcpState>(state); }

}  // namespace

EventHeader event_header(const conntrace_header& header) {
  return {.mono_ns = header.mono_ns,
          .source = Source::kernel,
          .pid = header.pid,
          .tid = header.tid,
          .start_time_ns = header.start_time_ns,
          .cookie = header.cookie,
          .netns = header.netns};
}

std::string_view comm_of(const conntrace_header& header) {
  return {header.comm, strnlen(header.comm, sizeof header.comm)};
}

KernelReader::KernelReader(Sink sink, ProcessSink processes)
    : sink_(std::move(sink)), processes_(std::move(processes)) {}

void KernelReader::read(std::span<const std::byte> bytes) {
  conntrace_header header{};
  if (bytes.size() < sizeof header) {
    ++malformed_records_;
    return;
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  number(header.sequence);
  if (header.kind == CONNTRACE_EVENT_dns_query || header.kind == CONNTRACE_EVENT_dns_answer) {
    conntrace_dns dns{};
    if (bytes.size() < sizeof dns) {
      ++malformed_records_;
      return;
    }
    std::memcpy(&dns, bytes.data(), sizeof dns);
    const auto payload = bytes.subspan(sizeof dns);
    if (dns.length > payload.size()) {
      ++malformed_records_;
      return;
    }
    read_dns(dns, {reinterpret_cast<const std::uint8_t*>(payload.data()), dns.length});
    return;
  }
  conntrace_record record{};
  if (bytes.size() < sizeof record) {
    ++malformed_records_;
    return;
  }
  std::memcpy(&record, bytes.data(), sizeof record);
  if (header.kind == CONNTRACE_RECORD_BARRIER) {
    barrier_ = header.cookie;
  } else if (header.kind == CONNTRACE_EVENT_process_start || header.kind == CONNTRACE_EVENT_process_exit) {
    processes_(record);
  } else if (header.kind == CONNTRACE_EVENT_fd_limit_hit) {
    read_fd(record);
  } else {
    read_tcp(record);
  }
}

void KernelReader::number(std::uint64_t sequence) {
  if (sequence == 0) return;
  static constexpr int kCpuShift = 56;
  Sequence& of_cpu = sequences_[sequence >> kCpuShift];
  of_cpu.highest = std::max(of_cpu.highest, sequence & ((std::uint64_t{1} << kCpuShift) - 1));
  ++of_cpu.count;
}

std::uint64_t KernelReader::from_ring() const {
  return std::accumulate(sequences_.begin(), sequences_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Sequence& of_cpu) { return sum + of_cpu.count; });
}

std::uint64_t KernelReader::missing() const {
  return std::accumulate(sequences_.begin(), sequences_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Sequence& of_cpu) { return sum + of_cpu.highest - of_cpu.count; });
}

void KernelReader::read_tcp(const conntrace_record& record) {
  const conntrace_tcp& tcp = record.tcp;
  const EventHeader header = event_header(record.header);
  const std::string local = to_string(tcp.local);
  const std::string remote = to_string(tcp.remote);
  const Text comm = comm_of(record.header);
  switch (static_cast<EventKind>(record.header.kind)) {
    case EventKind::tcp_connect:
      return sink_(make_event<EventKind::tcp_connect>(header, {.remote = remote, .fd = fd_of(tcp), .comm = comm}));
    case EventKind::tcp_accept:
      return sink_(make_event<EventKind::tcp_accept>(header, {.fd = fd_of(tcp), .comm = comm}));
    case EventKind::tcp_established:
      return sink_(make_event<EventKind::tcp_established>(header, {.direction = static_cast<Direction>(tcp.direction),
                                                                   .local = local,
                                                                   .remote = remote,
                                                                   .handshake_ns = known(tcp.handshake_ns),
                                                                   .syn_retransmits = tcp.syn_retransmits,
                                                                   .srtt_us = tcp.srtt_us,
                                                                   .comm = comm}));
    case EventKind::tcp_state:
      return sink_(make_event<EventKind::tcp_state>(header, {.from = tcp_state(tcp.from), .to = tcp_state(tcp.to)}));
    case EventKind::tcp_retransmit:
      return sink_(make_event<EventKind::tcp_retransmit>(header, {.state = tcp_state(tcp.from)}));
    case EventKind::tcp_reset_received:
      return sink_(make_event<EventKind::tcp_reset_received>(header, {.state = tcp_state(tcp.from)}));
    case EventKind::tcp_reset_sent: {
      const auto reason = tcp.error >= 0 ? std::optional<int>(tcp.error) : std::nullopt;
      return sink_(make_event<EventKind::tcp_reset_sent>(header, {.state = tcp_state(tcp.from), .reason = reason}));
    }
    case EventKind::tcp_error:
      return sink_(
          make_event<EventKind::tcp_error>(header, {.error_number = tcp.error, .error = errno_name(tcp.error)}));
    case EventKind::tcp_send:
      return sink_(make_event<EventKind::tcp_send>(header, {.idle_ns = known(tcp.idle_ns),
                                                            .bytes_sent = tcp.bytes_sent,
                                                            .bytes_received = tcp.bytes_received,
                                                            .state = tcp_state(tcp.from)}));
    case EventKind::tcp_recv:
      return sink_(make_event<EventKind::tcp_recv>(
          header, {.bytes_sent = tcp.bytes_sent, .bytes_received = tcp.bytes_received, .end = tcp.end != 0}));
    case EventKind::tcp_closed:
      return sink_(make_event<EventKind::tcp_closed>(header, {.bytes_sent = tcp.bytes_sent,
                                                              .bytes_received = tcp.bytes_received,
                                                              .retransmits = tcp.retransmits,
                                                              .srtt_us = tcp.srtt_us,
                                                              .opened_mono_ns = known(tcp.opened_ns)}));
    case EventKind::tcp_existing:
      return sink_(make_event<EventKind::tcp_existing>(header, {.direction = static_cast<Direction>(tcp.direction),
                                                                .local = local,
                                                                .remote = remote,
                                                                .state = tcp_state(tcp.from),
                                                                .fd = fd_of(tcp),
                                                                .comm = comm}));
    default: ++malformed_records_;
  }
}

void KernelReader::read_fd(const conntrace_record& record) {
  const conntrace_fd& fd = record.fd;
  sink_(make_event<EventKind::fd_limit_hit>(event_header(record.header),
                                            {.error_number = fd.error,
                                             .error = errno_name(fd.error),
                                             .syscall = fd.syscall,
                                             .syscall_name = fd.foreign != 0 ? Text() : syscall_name(fd.syscall),
                                             .comm = comm_of(record.header)}));
}

void KernelReader::read_dns(const conntrace_dns& dns, std::span<const std::uint8_t> payload) {
  const bool answer = dns.header.kind == CONNTRACE_EVENT_dns_answer;
  const auto message = parse_dns(payload);
  if (!message || message->response != answer) {
    ++malformed_dns_;
    return;
  }
  EventHeader header = event_header(dns.header);
  const std::string server = to_string(dns.server);
  const DnsTransport transport = dns.tcp != 0 ? DnsTransport::tcp : DnsTransport::udp;
  PendingQuestions::Key key{header.netns, header.cookie, message->id, message->name, message->type};
  if (!answer) {
    sink_(make_event<EventKind::dns_query>(header, {.id = message->id,
                                                    .name = message->name,
                                                    .type = message->type,
                                                    .server = server,
                                                    .transport = transport,
                                                    .comm = comm_of(dns.header)}));
    questions_.ask(std::move(key), {header.mono_ns, header.tid});
    return;
  }
  std::optional<std::uint64_t> latency;
  if (const auto asked = questions_.answer(key)) {
    latency = header.mono_ns - asked->mono_ns;
    header.tid = asked->tid;
  }
  const std::vector<Text> addresses(message->addresses.begin(), message->addresses.end());
  sink_(make_event<EventKind::dns_answer>(header, {.id = message->id,
                                                   .name = message->name,
                                                   .type = message->type,
                                                   .server = server,
                                                   .transport = transport,
                                                   .rcode = message->rcode,
                                                   .answers = addresses,
                                                   .answers_truncated = message->truncated,
                                                   .latency_ns = latency}));
}

}  // namespace conntrace::agent
