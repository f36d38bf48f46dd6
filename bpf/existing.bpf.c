// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Sockets that are there already: a walk over the descriptors of the observed processes. */
#include "socket.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by the reader before each walk. */
__u32 walk = CONNTRACE_WALK_ADOPT;

#define IPPROTO_OF_DNS(protocol, port) ((protocol) == IPPROTO_UDP && (port) == 53)

static __always_inline int announce(struct seq_file *seq, struct task_struct *task, int fd,
				    const struct sock *sk, struct socket_state *state)
{
	struct conntrace_record record = {};

	record.header.kind = CONNTRACE_EVENT_tcp_existing;
	record.header.program = CONNTRACE_PROGRAM_existing_sockets;
	record.header.mono_ns = bpf_ktime_get_ns();
	record.header.pid = BPF_CORE_READ(task, tgid);
	record.header.start_time_ns = process_start_time(task);
	BPF_CORE_READ_STR_INTO(&record.header.comm, task, comm);
	fill_existing(&record, sk, state, fd);
	if (record.tcp.from == TCP_LISTEN) {
		state->listener = 1;
		return 0;
	}
	/* Its maker is not known; the thread that uses it next is. */
	state->inherited = 1;
	/* Known sockets that are not in use (CLOSE) are of no connection. */
	if (record.tcp.from == TCP_CLOSE)
		return 0;
	return bpf_seq_write(seq, &record, sizeof(record));
}

/* For whoever comes later: what announce() told the others. The owner's own descriptors only. */
static __always_inline int describe(struct seq_file *seq, struct task_struct *task, int fd,
				    const struct sock *sk, const struct socket_state *state)
{
	struct conntrace_record record = {};

	if (state->pid != task->tgid || state->listener || state->finished || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	record.header.kind = CONNTRACE_EVENT_tcp_existing;
	record.header.program = CONNTRACE_PROGRAM_existing_sockets;
	record.header.mono_ns = bpf_ktime_get_ns();
	fill_socket(&record.header, sk, state);
	fill_endpoints(&record.tcp, sk);
	record.tcp.direction = state->direction;
	record.tcp.from = state_of(sk);
	record.tcp.fd = fd;
	if (record.tcp.from == TCP_CLOSE)
		return 0;
	return bpf_seq_write(seq, &record, sizeof(record));
}

SEC("iter/task_file")
int existing_sockets(struct bpf_iter__task_file *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket_state *state;
	struct socket *socket;
	struct sock *sk;
	__u16 protocol, family;

	if (!task || !file)
		return 0;
	if (walk != CONNTRACE_WALK_FORGET && !is_observed(task->tgid))
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	protocol = sk->sk_protocol;
	if (protocol != IPPROTO_TCP && !IPPROTO_OF_DNS(protocol, bpf_ntohs(sk->__sk_common.skc_dport)))
		return 0;
	if (walk != CONNTRACE_WALK_ADOPT) {
		state = find_socket(sk);
		if (!state)
			return 0;
		if (walk == CONNTRACE_WALK_DESCRIBE)
			describe(seq, task, ctx->fd, sk, state);
		else if (state->pid == task->tgid)
			bpf_sk_storage_delete(&sockets, sk);
		return 0;
	}
	state = find_or_add_socket(sk, CONNTRACE_PROGRAM_existing_sockets);
	if (!state || __sync_val_compare_and_swap(&state->claimed, 0, 1))
		return 0;
	if (protocol == IPPROTO_UDP) { /* a resolver's socket: its questions have an owner now */
		state->pid = task->tgid;
		state->start_time_ns = process_start_time(task);
		state->netns = netns_of(sk);
		BPF_CORE_READ_STR_INTO(&state->comm, task, comm);
		return 0;
	}
	/* The page is full: the kernel gives it to the reader and shows this descriptor again. */
	if (announce(seq, task, ctx->fd, sk, state))
		state->claimed = 0;
	return 0;
}
