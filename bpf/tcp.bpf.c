// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The life of a TCP socket: connect, handshake, states, retransmits, resets, errors, end. */
#include "socket.h"
#include "syscall.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What this kernel's tracepoints say besides the socket; set from its BTF between open and load. */
const volatile __u32 reset_says_reason = 0;
const volatile __u32 retransmit_says_error = 0;

static __always_inline struct conntrace_record *
record_of(const struct sock *sk, const struct socket_state *state, enum conntrace_program program, __u32 kind)
{
	struct conntrace_record *record = reserve_record(program, kind);

	if (record)
		fill_socket(&record->header, sk, state);
	return record;
}

/* A process connects or listens: the only moments at which a socket is chosen, both in that process' context.
 */
static __always_inline struct socket_state *choose(const struct sock *sk)
{
	struct socket_state *state = find_socket(sk);

	if (!state) {
		if (!is_observed(bpf_get_current_pid_tgid() >> 32))
			return NULL;
		state = find_or_add_socket(sk, CONNTRACE_PROGRAM_inet_sock_set_state);
		if (!state)
			return NULL;
	}
	__builtin_memset(state, 0, sizeof(*state));
	state->claimed = 1;
	state->netns = netns_of(sk);
	own_by_current(state);
	return state;
}

static __always_inline int on_connect(const struct sock *sk)
{
	struct socket_state *state = choose(sk);
	struct conntrace_record *record;

	if (!state)
		return 0;
	state->syn_ns = bpf_ktime_get_ns();
	state->direction = CONNTRACE_DIRECTION_OUTGOING;
	record = record_of(sk, state, CONNTRACE_PROGRAM_inet_sock_set_state, CONNTRACE_EVENT_tcp_connect);
	if (!record)
		return 0;
	record->header.mono_ns = state->syn_ns;
	record->header.tid = state->tid;
	record->tcp.fd = connecting_fd();
	fill_endpoints(&record->tcp, sk);
	submit(record);
	return 0;
}

static __always_inline int on_established(const struct sock *sk, struct socket_state *state)
{
	struct conntrace_record *record;

	if (state->listener) { /* the listener's entry, copied by the kernel into the new socket */
		state->listener = 0;
		state->direction = CONNTRACE_DIRECTION_INCOMING;
		state->inherited = 1;
		state->syn_retransmits = total_retransmits_of(sk); /* of its SYN-ACK */
	}
	state->retransmits_before = total_retransmits_of(sk);
	state->opened_ns = bpf_ktime_get_ns();
	record = record_of(sk, state, CONNTRACE_PROGRAM_inet_sock_set_state, CONNTRACE_EVENT_tcp_established);
	if (!record)
		return 0;
	record->header.mono_ns = state->opened_ns;
	fill_endpoints(&record->tcp, sk);
	record->tcp.direction = state->direction;
	record->tcp.handshake_ns = state->syn_ns ? state->opened_ns - state->syn_ns : 0;
	record->tcp.syn_retransmits = state->syn_retransmits;
	record->tcp.srtt_us = srtt_us_of(sk);
	submit(record);
	return 0;
}

static __always_inline void remember_totals(const struct sock *sk, struct socket_state *state)
{
	state->bytes_sent = bytes_sent_by(sk);
	state->bytes_received = bytes_received_by(sk);
	state->retransmits = state->opened_ns ? total_retransmits_of(sk) - state->retransmits_before : 0;
	state->srtt_us = srtt_us_of(sk);
	state->finished = 1;
}

static __always_inline int on_state(const struct sock *sk, int from, int to)
{
	struct conntrace_record *record;
	struct socket_state *state;

	if (to == TCP_SYN_SENT)
		return on_connect(sk);
	if (to == TCP_LISTEN) {
		state = choose(sk);
		if (state)
			state->listener = 1;
		return 0;
	}
	state = find_socket(sk);
	if (!state)
		return 0;
	if (to == TCP_ESTABLISHED)
		return on_established(sk, state);
	/* A listener, or its child before the handshake is complete: its cookie is not final yet. */
	if (state->listener)
		return 0;
	if (to == TCP_CLOSE)
		remember_totals(sk, state);
	record = record_of(sk, state, CONNTRACE_PROGRAM_inet_sock_set_state, CONNTRACE_EVENT_tcp_state);
	if (!record)
		return 0;
	record->tcp.from = from;
	record->tcp.to = to;
	submit(record);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, const struct sock *sk, int from, int to)
{
	/* SCTP, DCCP and MPTCP sockets change state here too. */
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	return on_state(sk, from, to);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	struct socket_state *state = find_socket(sk);
	struct conntrace_record *record;

	if (!state)
		return 0;
	record =
		record_of(sk, state, CONNTRACE_PROGRAM_tcp_receive_reset, CONNTRACE_EVENT_tcp_reset_received);
	if (!record)
		return 0;
	record->tcp.from = state_of(sk);
	submit(record);
	return 0;
}

/* The socket is NULL for a RST that answers a segment to a port where nothing is. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_send_reset, const struct sock *sk)
{
	struct conntrace_record *record;
	struct socket_state *state;
	int reason = -1;

	if (!sk)
		return 0;
	if (reset_says_reason)
		reason = (int)ctx[2];
	state = find_socket(sk);
	/* A listener refuses in its own name; that reset is of no connection. */
	if (!state || state->listener)
		return 0;
	record = record_of(sk, state, CONNTRACE_PROGRAM_tcp_send_reset, CONNTRACE_EVENT_tcp_reset_sent);
	if (!record)
		return 0;
	record->tcp.from = state_of(sk);
	record->tcp.error = reason;
	submit(record);
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_skb, const struct sock *sk)
{
	struct conntrace_record *record;
	struct socket_state *state;

	/* From 6.17 on it tells of attempts that failed, too. */
	if (retransmit_says_error && (int)ctx[2])
		return 0;
	state = find_socket(sk);
	if (!state)
		return 0;
	if (state_of(sk) == TCP_SYN_SENT)
		state->syn_retransmits++;
	record = record_of(sk, state, CONNTRACE_PROGRAM_tcp_retransmit_skb, CONNTRACE_EVENT_tcp_retransmit);
	if (!record)
		return 0;
	record->tcp.from = state_of(sk);
	submit(record);
	return 0;
}

/* The request becomes the connection's socket and keeps the cookie that it gets here. */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcp_retransmit_synack, const struct sock *sk, const struct request_sock *request)
{
	struct socket_state *state = find_socket(sk);
	struct conntrace_record *record;

	if (!state)
		return 0;
	record = reserve_record(CONNTRACE_PROGRAM_tcp_retransmit_synack, CONNTRACE_EVENT_tcp_retransmit);
	if (!record)
		return 0;
	fill_socket(&record->header, sk, state);
	record->header.cookie = bpf_get_socket_cookie((void *)request);
	record->tcp.from = TCP_NEW_SYN_RECV;
	submit(record);
	return 0;
}

SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(inet_sk_error_report, const struct sock *sk)
{
	int error = sk->sk_err;
	struct conntrace_record *record;
	struct socket_state *state;

	/* 0: news in the error queue (timestamps, zero copy). */
	if (!error || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	state = find_socket(sk);
	if (!state)
		return 0;
	record = record_of(sk, state, CONNTRACE_PROGRAM_inet_sk_error_report, CONNTRACE_EVENT_tcp_error);
	if (!record)
		return 0;
	record->tcp.error = error;
	submit(record);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *sk)
{
	struct socket_state *state = find_socket(sk);
	struct conntrace_record *record;

	if (!state || state->listener)
		return 0;
	if (!state->finished)
		remember_totals(sk, state);
	record = record_of(sk, state, CONNTRACE_PROGRAM_tcp_destroy_sock, CONNTRACE_EVENT_tcp_closed);
	if (!record)
		return 0;
	record->tcp.bytes_sent = state->bytes_sent;
	record->tcp.bytes_received = state->bytes_received;
	record->tcp.retransmits = state->retransmits;
	record->tcp.srtt_us = state->srtt_us;
	record->tcp.opened_ns = state->opened_ns ? state->opened_ns : state->syn_ns;
	submit(record);
	return 0;
}
