// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "conntrace/field.h"
#include "conntrace/reasons.h"
#include "conntrace/text.h"

namespace conntrace {

// Payloads of what the kernel sees. Made by the agent, or by polls of /proc and sock_diag (then source says so).

struct TcpConnectInfo {
  Text remote;
  std::optional<int> fd;
  Text comm;
  static constexpr auto fields() {
    return std::tuple{Field{"remote", &TcpConnectInfo::remote, "ip:port"},
                      Field{"fd", &TcpConnectInfo::fd, "descriptor in pid; absent if it was no connect(2)"},
                      Field{"comm", &TcpConnectInfo::comm, "command name of the caller"}};
  }
};

struct TcpEstablishedInfo {
  Direction direction = Direction::unknown;
  Text local;
  Text remote;
  std::optional<std::uint64_t> handshake_ns;
  std::uint32_t syn_retransmits = 0;
  std::uint32_t srtt_us = 0;
  Text comm;
  static constexpr auto fields() {
    return std::tuple{
        Field{"direction", &TcpEstablishedInfo::direction, "who began"},
        Field{"local", &TcpEstablishedInfo::local, "ip:port"},
        Field{"remote", &TcpEstablishedInfo::remote, "ip:port"},
        Field{"handshake_ns", &TcpEstablishedInfo::handshake_ns, "SYN to established; absent if the SYN was not seen"},
        Field{"syn_retransmits", &TcpEstablishedInfo::syn_retransmits, "SYN or SYN-ACK sent again"},
        Field{"srtt_us", &TcpEstablishedInfo::srtt_us, "smoothed round trip time"},
        Field{"comm", &TcpEstablishedInfo::comm, "command name of the owner"}};
  }
};

/// Not of connections that io_uring accepts.
struct TcpAcceptInfo {
  std::optional<int> fd;
  Text comm;
  static constexpr auto fields() {
    return std::tuple{Field{"fd", &TcpAcceptInfo::fd, "descriptor in pid"},
                      Field{"comm", &TcpAcceptInfo::comm, "command name of the thread"}};
  }
};

struct TcpStateInfo {
  TcpState from = TcpState::NONE;
  TcpState to = TcpState::NONE;
  static constexpr auto fields() {
    return std::tuple{Field{"from", &TcpStateInfo::from, "state before"},
                      Field{"to", &TcpStateInfo::to, "state after"}};
  }
};

struct TcpRetransmitInfo {
  TcpState state = TcpState::NONE;
  static constexpr auto fields() {
    return std::tuple{Field{"state", &TcpRetransmitInfo::state, "state of the socket"}};
  }
};

struct TcpResetReceivedInfo {
  TcpState state = TcpState::NONE;
  static constexpr auto fields() {
    return std::tuple{Field{"state", &TcpResetReceivedInfo::state, "state of the socket"}};
  }
};

struct TcpResetSentInfo {
  TcpState state = TcpState::NONE;
  std::optional<int> reason;
  static constexpr auto fields() {
    return std::tuple{Field{"state", &TcpResetSentInfo::state, "state of the socket"},
                      Field{"reason", &TcpResetSentInfo::reason, "enum sk_rst_reason, kernels that say it"}};
  }
};

struct TcpErrorInfo {
  int error_number = 0;
  Text error;
  static constexpr auto fields() {
    return std::tuple{Field{"error_number", &TcpErrorInfo::error_number, "sk_err"},
                      Field{"error", &TcpErrorInfo::error, "its name"}};
  }
};

struct TcpSendInfo {
  std::optional<std::uint64_t> idle_ns;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  TcpState state = TcpState::NONE;
  static constexpr auto fields() {
    return std::tuple{Field{"idle_ns", &TcpSendInfo::idle_ns, "since the socket's last send or receive"},
                      Field{"bytes_sent", &TcpSendInfo::bytes_sent, "before this send"},
                      Field{"bytes_received", &TcpSendInfo::bytes_received, "before this send"},
                      Field{"state", &TcpSendInfo::state, "CLOSE_WAIT here: the peer had already closed"}};
  }
};

struct TcpRecvInfo {
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  bool end = false;
  static constexpr auto fields() {
    return std::tuple{Field{"bytes_sent", &TcpRecvInfo::bytes_sent, "so far"},
                      Field{"bytes_received", &TcpRecvInfo::bytes_received, "before this receive"},
                      Field{"end", &TcpRecvInfo::end, "the peer's FIN was read"}};
  }
};

/// The totals are absent when a poll of sock_diag found the socket gone: what it had at the look before is not what it
/// had at the end.
struct TcpClosedInfo {
  std::optional<std::uint64_t> bytes_sent;
  std::optional<std::uint64_t> bytes_received;
  std::optional<std::uint32_t> retransmits;
  std::optional<std::uint32_t> srtt_us;
  std::optional<std::uint64_t> opened_mono_ns;
  static constexpr auto fields() {
    return std::tuple{Field{"bytes_sent", &TcpClosedInfo::bytes_sent, "acknowledged or not"},
                      Field{"bytes_received", &TcpClosedInfo::bytes_received, "read or not"},
                      Field{"retransmits", &TcpClosedInfo::retransmits, "segments sent again, SYNs excluded"},
                      Field{"srtt_us", &TcpClosedInfo::srtt_us, "smoothed round trip time at the end"},
                      Field{"opened_mono_ns", &TcpClosedInfo::opened_mono_ns, "when it was established or first seen"}};
  }
};

struct TcpExistingInfo {
  Direction direction = Direction::unknown;
  Text local;
  Text remote;
  TcpState state = TcpState::NONE;
  std::optional<int> fd;
  std::optional<std::uint64_t> absent_mono_ns;
  Text comm;
  static constexpr auto fields() {
    return std::tuple{Field{"direction", &TcpExistingInfo::direction, "who began"},
                      Field{"local", &TcpExistingInfo::local, "ip:port"},
                      Field{"remote", &TcpExistingInfo::remote, "ip:port"},
                      Field{"state", &TcpExistingInfo::state, "now"},
                      Field{"fd", &TcpExistingInfo::fd, "descriptor in pid"},
                      Field{"absent_mono_ns", &TcpExistingInfo::absent_mono_ns,
                            "a poll's last look that did not find it: it began between then and mono_ns"},
                      Field{"comm", &TcpExistingInfo::comm, "command name of the owner"}};
  }
};

struct DnsQueryInfo {
  std::uint32_t id = 0;
  Text name;
  Text type;
  Text server;
  DnsTransport transport = {};
  Text comm;
  static constexpr auto fields() {
    return std::tuple{Field{"id", &DnsQueryInfo::id, "message id"},
                      Field{"name", &DnsQueryInfo::name, "the question, lower case, without the final dot"},
                      Field{"type", &DnsQueryInfo::type, "A, AAAA, …"},
                      Field{"server", &DnsQueryInfo::server, "ip:port"},
                      Field{"transport", &DnsQueryInfo::transport, "udp or tcp"},
                      Field{"comm", &DnsQueryInfo::comm, "command name of the asker"}};
  }
};

struct DnsAnswerInfo {
  std::uint32_t id = 0;
  Text name;
  Text type;
  Text server;
  DnsTransport transport = {};
  Text rcode;
  List<Text> answers;
  bool answers_truncated = false;
  std::optional<std::uint64_t> latency_ns;
  static constexpr auto fields() {
    return std::tuple{Field{"id", &DnsAnswerInfo::id, "message id"},
                      Field{"name", &DnsAnswerInfo::name, "the question, lower case, without the final dot"},
                      Field{"type", &DnsAnswerInfo::type, "A, AAAA, …"},
                      Field{"server", &DnsAnswerInfo::server, "ip:port"},
                      Field{"transport", &DnsAnswerInfo::transport, "udp or tcp"},
                      Field{"rcode", &DnsAnswerInfo::rcode, "NOERROR, NXDOMAIN, …"},
                      Field{"answers", &DnsAnswerInfo::answers, "addresses"},
                      Field{"answers_truncated", &DnsAnswerInfo::answers_truncated, "the TC bit"},
                      Field{"latency_ns", &DnsAnswerInfo::latency_ns, "since the query, if it was seen"}};
  }
};

struct FdLimitHitInfo {
  int error_number = 0;
  Text error;
  std::uint32_t syscall = 0;
  Text syscall_name;
  Text comm;
  static constexpr auto fields() {
    return std::tuple{Field{"error_number", &FdLimitHitInfo::error_number, "EMFILE, ENFILE or EADDRNOTAVAIL"},
                      Field{"error", &FdLimitHitInfo::error, "its name"},
                      Field{"syscall", &FdLimitHitInfo::syscall, "number of the system call"},
                      Field{"syscall_name", &FdLimitHitInfo::syscall_name, "its name, if known"},
                      Field{"comm", &FdLimitHitInfo::comm, "command name of the thread"}};
  }
};

/// Descriptors that are alike.
struct FdClassCount {
  Text kind;
  TcpState state = TcpState::NONE;
  Text peer;
  std::uint64_t count = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"class", &FdClassCount::kind,
                            "tcp, udp, unix, netlink, packet, socket (any other), file, directory, pipe, character, "
                            "block, link, or the name of an anonymous inode: eventpoll, eventfd, timerfd, …"},
                      Field{"state", &FdClassCount::state, "of tcp"},
                      Field{"peer", &FdClassCount::peer,
                            "of tcp and udp: ip:port, ip alone if this side accepted; empty: it has none, or several"},
                      Field{"count", &FdClassCount::count, "how many"}};
  }
};

struct FdCensusInfo {
  std::uint64_t open = 0;
  std::optional<std::uint64_t> soft_limit;
  std::optional<std::uint64_t> hard_limit;
  List<FdClassCount> classes;
  Text comm;
  static constexpr auto fields() {
    return std::tuple{Field{"open", &FdCensusInfo::open, "open descriptors"},
                      Field{"soft_limit", &FdCensusInfo::soft_limit, "RLIMIT_NOFILE, soft"},
                      Field{"hard_limit", &FdCensusInfo::hard_limit, "RLIMIT_NOFILE, hard"},
                      Field{"classes", &FdCensusInfo::classes,
                            "what they are, most first; their counts sum to open; empty: only counted"},
                      Field{"comm", &FdCensusInfo::comm, "command name"}};
  }
};

struct ProcessStartInfo {
  Text comm;
  Text exe;
  Text cgroup;
  std::optional<std::uint64_t> parent;
  std::optional<std::uint32_t> uid;
  bool existed_before = false;
  static constexpr auto fields() {
    return std::tuple{Field{"comm", &ProcessStartInfo::comm, "command name"},
                      Field{"exe", &ProcessStartInfo::exe, "path of the executable"},
                      Field{"cgroup", &ProcessStartInfo::cgroup, "cgroup2 path"},
                      Field{"parent", &ProcessStartInfo::parent, "pid of the parent, if it was followed from there"},
                      Field{"uid", &ProcessStartInfo::uid, "the user, besides root, who may look into it"},
                      Field{"existed_before", &ProcessStartInfo::existed_before, "it ran before the observer came"}};
  }
};

struct ProcessExitInfo {
  Text comm;
  std::optional<int> exit_status;
  static constexpr auto fields() {
    return std::tuple{Field{"comm", &ProcessExitInfo::comm, "command name"},
                      Field{"exit_status", &ProcessExitInfo::exit_status, "as in wait(2), if known"}};
  }
};

}  // namespace conntrace
