/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is remembered of an observed socket. It lives and dies with the socket: nothing is evicted, nothing
 * leaks. */
#ifndef CONNTRACE_BPF_SOCKET_H
#define CONNTRACE_BPF_SOCKET_H

#include "common.h"

enum { IO_NONE, IO_SEND = 1, IO_RECEIVE = 2 }; /* bits in `told` */

struct socket_state {
	__u32 claimed; /* whoever sets it first announces the socket */
	__u32 pid;     /* owner: who connected, listened, or used it first; decided in process context only */
	__u32 tid;
	__u32 inherited; /* the owner is the listener's: the first who uses the socket takes its place */
	__u64 start_time_ns;
	__u64 netns;
	__u64 syn_ns;
	__u64 opened_ns;
	__u64 last_io_ns;
	__u64 bytes_sent; /* these four: when it reached CLOSE; a disconnect clears the kernel's own */
	__u64 bytes_received;
	__u32 retransmits;
	__u32 srtt_us;
	__u32 syn_retransmits;
	__u32 retransmits_before; /* total_retrans that does not count */
	__u8 last_io;
	__u8 listener;
	__u8 direction;
	__u8 end_read;
	__u8 finished; /* reached CLOSE: the four above are set */
	__u8 told;     /* which of IO_SEND and IO_RECEIVE there was */
	__u8 zero[2];
	char comm[CONNTRACE_COMM_LENGTH];
};

/*
 * BPF_F_CLONE: a socket that a listener makes in softirq gets the listener's entry, and so its owner. That
 * copy is part of making the socket: it happens only for listeners that are observed.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_state);
} sockets MAP;

static __always_inline struct socket_state *find_socket(const struct sock *sk)
{
	return bpf_sk_storage_get(&sockets, (void *)sk, NULL, 0);
}

static __always_inline struct socket_state *find_or_add_socket(const struct sock *sk,
							       enum conntrace_program program)
{
	struct socket_state *state =
		bpf_sk_storage_get(&sockets, (void *)sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!state)
		lost(program, CONNTRACE_LOSS_MAP_FULL);
	return state;
}

static __always_inline void set_owner(struct socket_state *state, const struct conntrace_header *header)
{
	state->pid = header->pid;
	state->tid = header->tid;
	state->start_time_ns = header->start_time_ns;
	state->inherited = 0;
	__builtin_memcpy(state->comm, header->comm, sizeof(state->comm));
}

static __always_inline void own_by_current(struct socket_state *state)
{
	struct conntrace_header header = {};

	fill_current(&header);
	set_owner(state, &header);
}

static __always_inline __u64 netns_of(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* The cookie is made now if nobody has asked for it yet: the process will get the same. The thread is left
 * out: what happens to a socket mostly happens in softirq, in whatever thread that interrupted. */
static __always_inline void fill_socket(struct conntrace_header *header, const struct sock *sk,
					const struct socket_state *state)
{
	header->pid = state->pid;
	header->start_time_ns = state->start_time_ns;
	header->cookie = bpf_get_socket_cookie((void *)sk);
	header->netns = netns_of(sk);
	__builtin_memcpy(header->comm, state->comm, sizeof(header->comm));
}

static __always_inline void fill_endpoints(struct conntrace_tcp *tcp, const struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	tcp->local.family = family;
	tcp->remote.family = family;
	tcp->local.port = sk->__sk_common.skc_num;
	tcp->remote.port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&tcp->local.address, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&tcp->remote.address, sk, __sk_common.skc_v6_daddr);
	} else {
		__be32 local = sk->__sk_common.skc_rcv_saddr;
		__be32 remote = sk->__sk_common.skc_daddr;

		__builtin_memcpy(tcp->local.address, &local, sizeof(local));
		__builtin_memcpy(tcp->remote.address, &remote, sizeof(remote));
	}
}

static __always_inline __u8 state_of(const struct sock *sk)
{
	return sk->__sk_common.skc_state;
}

/* Payload that was given to the network at least once: what ss and TCP_INFO call bytes_sent - bytes_retrans.
 */
static __always_inline __u64 bytes_sent_by(const struct sock *sk)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;

	return BPF_CORE_READ(tcp, bytes_sent) - BPF_CORE_READ(tcp, bytes_retrans);
}

static __always_inline int fin_arrived(const struct sock *sk)
{
	return sk->__sk_common.skc_flags >> SOCK_DONE_BIT & 1;
}

/* Payload in order, read or not. The kernel counts the peer's FIN as a byte of it. */
static __always_inline __u64 bytes_received_by(const struct sock *sk)
{
	return BPF_CORE_READ((const struct tcp_sock *)sk, bytes_received) - fin_arrived(sk);
}

static __always_inline __u32 srtt_us_of(const struct sock *sk)
{
	return BPF_CORE_READ((const struct tcp_sock *)sk, srtt_us) >> 3;
}

static __always_inline __u32 total_retransmits_of(const struct sock *sk)
{
	return BPF_CORE_READ((const struct tcp_sock *)sk, total_retrans);
}

/* Who began, from the kernel's own sums: the SYN of the side that connected is one sequence number more than
 * its payload. Holds while no FIN was sent; anything else than 0 or 1 (fast open, repaired sockets) says
 * nothing. */
static __always_inline __u8 direction_of(const struct sock *sk)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;
	__u8 state = state_of(sk);
	__u64 sequence = BPF_CORE_READ(tcp, bytes_acked) +
			 (__u32)(BPF_CORE_READ(tcp, snd_nxt) - BPF_CORE_READ(tcp, snd_una));
	__u64 payload = bytes_sent_by(sk);

	if (state == TCP_SYN_SENT)
		return CONNTRACE_DIRECTION_OUTGOING;
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		return CONNTRACE_DIRECTION_UNKNOWN;
	if (sequence == payload + 1)
		return CONNTRACE_DIRECTION_OUTGOING;
	return sequence == payload ? CONNTRACE_DIRECTION_INCOMING : CONNTRACE_DIRECTION_UNKNOWN;
}

/* tcp_existing of a socket that nobody saw being made. The header's owner must be filled already. */
static __always_inline void fill_existing(struct conntrace_record *record, const struct sock *sk,
					  struct socket_state *state, int fd)
{
	set_owner(state, &record->header);
	state->opened_ns = record->header.mono_ns;
	state->netns = netns_of(sk);
	state->direction = direction_of(sk);
	state->retransmits_before = total_retransmits_of(sk);
	fill_socket(&record->header, sk, state);
	fill_endpoints(&record->tcp, sk);
	record->tcp.direction = state->direction;
	record->tcp.from = state_of(sk);
	record->tcp.fd = fd;
}

#endif
