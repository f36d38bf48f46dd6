// SPDX-License-Identifier: Apache-2.0
#include "agent/hooks.h"

namespace conntrace::agent {
namespace {

#define CONNTRACE_ROW(name, section) std::string_view(section),
constexpr std::array kSections = {CONNTRACE_PROGRAMS(CONNTRACE_ROW)};
#undef CONNTRACE_ROW

#define CONNTRACE_HOOK(name, purpose, essential, gives) \
  Hook { CONNTRACE_PROGRAM_##name, #name, kSections[CONNTRACE_PROGRAM_##name], Purpose::purpose, essential, gives }

constexpr std::string_view kSendEdge = "when requests were sent, idle times, sends after the peer had closed";
constexpr std::string_view kReceiveEdge = "when responses were read";
constexpr std::string_view kDnsOwner = "which process and thread asked a DNS question";

constexpr std::array kHooks = {
    CONNTRACE_HOOK(inet_sock_set_state, tcp, true, "TCP connects, handshakes and states"),
    CONNTRACE_HOOK(tcp_destroy_sock, tcp, true, "the end of TCP sockets and their totals"),
    CONNTRACE_HOOK(tcp_receive_reset, tcp, false, "resets by the peer"),
    CONNTRACE_HOOK(tcp_send_reset, tcp, false, "resets by this side, and their reason"),
    CONNTRACE_HOOK(tcp_retransmit_skb, tcp, false, "retransmits, of SYNs too"),
    CONNTRACE_HOOK(tcp_retransmit_synack, tcp, false, "retransmits of SYN-ACKs"),
    CONNTRACE_HOOK(inet_sk_error_report, tcp, false, "errors of sockets (errno)"),
    CONNTRACE_HOOK(tcp_sendmsg_locked, send_edge, false, kSendEdge),
    CONNTRACE_HOOK(tcp_sendmsg_entry, send_edge, false, kSendEdge),
    CONNTRACE_HOOK(sock_send_length, send_edge, false, kSendEdge),
    CONNTRACE_HOOK(sock_recv_length, receive_edge, false, kReceiveEdge),
    CONNTRACE_HOOK(tcp_recvmsg_exit, receive_edge, false, kReceiveEdge),
    CONNTRACE_HOOK(existing_sockets, existing, false, "connections that were open already"),
    CONNTRACE_HOOK(count_open, census, false, "descriptors and limits of many processes at once"),
    CONNTRACE_HOOK(classify_descriptors, census, false, "what the descriptors of processes are"),
    CONNTRACE_HOOK(dns_connect4, dns, false, kDnsOwner),
    CONNTRACE_HOOK(dns_connect6, dns, false, kDnsOwner),
    CONNTRACE_HOOK(dns_sendmsg4, dns, false, kDnsOwner),
    CONNTRACE_HOOK(dns_sendmsg6, dns, false, kDnsOwner),
    CONNTRACE_HOOK(dns_egress, dns, false, "DNS questions"),
    CONNTRACE_HOOK(dns_ingress, dns, false, "DNS answers and their latency"),
    CONNTRACE_HOOK(sys_exit, fd_failures, false, "system calls that failed for want of a descriptor or port; accepts"),
    CONNTRACE_HOOK(sched_process_fork, processes, false, "child processes"),
    CONNTRACE_HOOK(sched_process_exec, processes, false, "programs that observed processes execute"),
    CONNTRACE_HOOK(sched_process_exit, processes, false, "the end of processes and their exit status"),
};

}  // namespace

const std::array<Hook, CONNTRACE_PROGRAM_COUNT - 1>& hooks() {
  static_assert(kHooks.size() == CONNTRACE_PROGRAM_COUNT - 1, "every program but the barrier is a hook");
  return kHooks;
}

bool wanted(const Hook& hook, const ObserverOptions& options) {
  switch (hook.purpose) {
    case Purpose::send_edge:
    case Purpose::receive_edge: return options.io_edges;
    case Purpose::existing: return options.adopt_existing;
    case Purpose::census: return options.census_interval_ms != 0;
    case Purpose::dns: return options.dns;
    case Purpose::fd_failures: return options.fd_failures;
    case Purpose::tcp:
    case Purpose::processes: break;
  }
  return true;
}

std::string_view section_of(conntrace_program program) {
  return program < kSections.size() ? kSections[program] : std::string_view("unknown program");
}

}  // namespace conntrace::agent
