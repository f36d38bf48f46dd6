// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The edges of a conversation: the first send after a receive, the first receive after a send, the end. After
 * the first of each kind only those that come after a pause are told: in a busy conversation nobody waits,
 * and a record for each of its edges took a third of a busy server's throughput. Everything here
 * runs in the thread that sends or receives. Of each of the two, the first that works is loaded: send:
 * tcp_sendmsg_locked (from 6.16) and fentry, which know the state in which the bytes were taken;
 * sock_send_length (from 6.3), which comes after them; receive: sock_recv_length (from 6.3), fexit
 */
#include "socket.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set between open and load. */
const volatile __u64 pause_ns = 0;

/* A process uses a socket that nobody saw being made: handed over, or accepted before the observer came. */
static __always_inline struct socket_state *adopt(const struct sock *sk, enum conntrace_program program)
{
	struct conntrace_record *record;
	struct socket_state *state;

	if (!is_observed(bpf_get_current_pid_tgid() >> 32))
		return NULL;
	state = find_or_add_socket(sk, program);
	if (!state || __sync_val_compare_and_swap(&state->claimed, 0, 1))
		return state;
	record = reserve_record(program, CONNTRACE_EVENT_tcp_existing);
	if (!record)
		return state;
	fill_current(&record->header);
	fill_existing(record, sk, state, -1);
	submit(record);
	return state;
}

static __always_inline struct socket_state *used_socket(const struct sock *sk, enum conntrace_program program)
{
	struct socket_state *state;

	if (sk->sk_protocol != IPPROTO_TCP)
		return NULL;
	state = find_socket(sk);
	if (!state)
		return adopt(sk, program);
	if (state->inherited && is_observed(bpf_get_current_pid_tgid() >> 32))
		own_by_current(state);
	return state;
}

/* What the process has handed over, sent or still queued. No FIN of ours is queued while a send succeeds. */
static __always_inline __u64 bytes_queued(const struct sock *sk)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;

	return bytes_sent_by(sk) + (__u32)(BPF_CORE_READ(tcp, write_seq) - BPF_CORE_READ(tcp, snd_nxt));
}

/* What the process has read: the received payload less what is still queued. */
static __always_inline __u64 bytes_read(const struct sock *sk)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;
	__u32 unread = BPF_CORE_READ(tcp, rcv_nxt) - BPF_CORE_READ(tcp, copied_seq);
	__u64 payload = bytes_received_by(sk);
	__u64 read = BPF_CORE_READ(tcp, bytes_received) - unread;

	/* The FIN counts as a byte in all three, until and after it is read. */
	return read < payload ? read : payload;
}

/* Whether this is an edge, and one that is told: the socket's first of its kind, or one after a pause. */
static __always_inline int is_told_edge(struct socket_state *state, __u8 io, __u64 since)
{
	int first = !(state->told & io);

	if (state->last_io == io)
		return 0;
	state->last_io = io;
	state->told |= io;
	return first || since >= pause_ns;
}

/* accepted: bytes of this send that are in the kernel's sums already. */
static __always_inline int on_send(const struct sock *sk, enum conntrace_program program, __u8 tcp_state,
				   __u64 accepted)
{
	struct socket_state *state = used_socket(sk, program);
	struct conntrace_record *record;
	__u64 before, now;

	if (!state)
		return 0;
	before = state->last_io_ns;
	now = bpf_ktime_get_ns();
	state->last_io_ns = now;
	if (!is_told_edge(state, IO_SEND, now - before) && tcp_state == TCP_ESTABLISHED)
		return 0;
	record = reserve_record(program, CONNTRACE_EVENT_tcp_send);
	if (!record)
		return 0;
	fill_socket(&record->header, sk, state);
	fill_current(&record->header);
	record->tcp.from = tcp_state;
	record->tcp.idle_ns = before ? now - before : 0;
	record->tcp.bytes_sent = bytes_queued(sk) - accepted;
	record->tcp.bytes_received = bytes_read(sk);
	submit(record);
	return 0;
}

static __always_inline int on_receive(const struct sock *sk, enum conntrace_program program, int received,
				      int flags)
{
	struct conntrace_record *record;
	struct socket_state *state;
	__u64 before, now;
	int end;

	if (received < 0 || flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	state = used_socket(sk, program);
	if (!state)
		return 0;
	/* 0 is also what a read of no length or one after a reset returns. */
	end = !received && fin_arrived(sk);
	if (end) {
		if (state->end_read)
			return 0;
		state->end_read = 1;
	} else {
		if (!received)
			return 0;
		before = state->last_io_ns;
		now = bpf_ktime_get_ns();
		state->last_io_ns = now;
		if (!is_told_edge(state, IO_RECEIVE, now - before))
			return 0;
	}
	record = reserve_record(program, CONNTRACE_EVENT_tcp_recv);
	if (!record)
		return 0;
	fill_socket(&record->header, sk, state);
	fill_current(&record->header);
	record->tcp.bytes_sent = bytes_sent_by(sk);
	record->tcp.bytes_received = bytes_read(sk) - received;
	record->tcp.end = end;
	submit(record);
	return 0;
}

SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(tcp_sendmsg_locked, const struct sock *sk)
{
	return on_send(sk, CONNTRACE_PROGRAM_tcp_sendmsg_locked, state_of(sk), 0);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int sent)
{
	__u8 state = state_of(sk);

	if (sent <= 0)
		return 0;
	/* States do not go back, so it was established all the time. Otherwise the peer's FIN may have
	 * crossed this very send: not known, rather than CLOSE_WAIT. */
	if (state != TCP_ESTABLISHED)
		state = STATE_NOT_KNOWN;
	return on_send(sk, CONNTRACE_PROGRAM_sock_send_length, state, sent);
}

SEC("fentry/tcp_sendmsg")
int BPF_PROG(tcp_sendmsg_entry, struct sock *sk)
{
	__u8 state = state_of(sk);

	/* In any other state the send fails. */
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		return 0;
	return on_send(sk, CONNTRACE_PROGRAM_tcp_sendmsg_entry, state, 0);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int received, int flags)
{
	return on_receive(sk, CONNTRACE_PROGRAM_sock_recv_length, received, flags);
}

SEC("fexit/tcp_recvmsg")
int BPF_PROG(tcp_recvmsg_exit, struct sock *sk, struct msghdr *message, unsigned long length, int flags,
	     int *address_length, int received)
{
	return on_receive(sk, CONNTRACE_PROGRAM_tcp_recvmsg_exit, received, flags);
}
