// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * DNS questions and answers, raw: the agent parses them. A socket's owner is learned when it connects or
 * sends to port 53, before the packet exists; the packets themselves are seen on their way through the
 * socket's cgroup, where the kernel still knows the socket, in both directions. TCP is best effort: a message
 * that is one segment.
 */
#include "socket.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define DNS_PORT    53
#define SOCK_DGRAM  2
#define UDP_HEADER  8
#define IPV6_HEADER 40
#define FRAGMENT    0x3fff /* offset, or more to come */

/* bpf_get_current_pid_tgid is not there for cgroup programs before 6.10. */
static __always_inline void fill_owner(struct socket_state *state)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	state->pid = BPF_CORE_READ(task, tgid);
	state->tid = BPF_CORE_READ(task, pid);
	state->start_time_ns = process_start_time(task);
	BPF_CORE_READ_STR_INTO(&state->comm, task, comm);
}

static __always_inline __u64 netns_of_context(struct bpf_sock *context)
{
	const struct sock *sk = NULL;

	/* It is the kernel's socket, under a type that may not be looked into; through the stack it loses
	 * that type. */
	bpf_probe_read_kernel(&sk, sizeof(sk), &context);
	return netns_of(sk);
}

static __always_inline int learn_owner(struct bpf_sock_addr *context, enum conntrace_program program)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct bpf_sock *sk = context->sk;
	struct socket_state *state;

	if (!sk || context->user_port != bpf_htons(DNS_PORT) || context->type != SOCK_DGRAM)
		return 1;
	if (!is_observed(BPF_CORE_READ(task, tgid)))
		return 1;
	state = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!state) {
		lost(program, CONNTRACE_LOSS_MAP_FULL);
		return 1;
	}
	state->claimed = 1;
	state->netns = netns_of_context(sk);
	fill_owner(state);
	return 1;
}

SEC("cgroup/connect4")
int dns_connect4(struct bpf_sock_addr *context)
{
	return learn_owner(context, CONNTRACE_PROGRAM_dns_connect4);
}

SEC("cgroup/connect6")
int dns_connect6(struct bpf_sock_addr *context)
{
	return learn_owner(context, CONNTRACE_PROGRAM_dns_connect6);
}

SEC("cgroup/sendmsg4")
int dns_sendmsg4(struct bpf_sock_addr *context)
{
	return learn_owner(context, CONNTRACE_PROGRAM_dns_sendmsg4);
}

SEC("cgroup/sendmsg6")
int dns_sendmsg6(struct bpf_sock_addr *context)
{
	return learn_owner(context, CONNTRACE_PROGRAM_dns_sendmsg6);
}

struct packet {
	struct conntrace_endpoint server;
	__u32 offset; /* of the message */
	__u32 length;
	__u32 tcp;
};

/* The first twenty bytes of TCP and the first eight of UDP that matter here. */
struct transport_header {
	__be16 source;
	__be16 destination;
	__u8 rest[8];
	__u8 data_offset;
};

/* Finds the message of a packet to (or from) port 53. */
static __always_inline int find_message(struct __sk_buff *skb, int outgoing, struct packet *packet)
{
	struct transport_header transport = {};
	__u32 offset, skip;
	__u8 protocol, version = 0;
	__be16 port;

	if (bpf_skb_load_bytes(skb, 0, &version, 1))
		return 0;
	if (version >> 4 == 4) {
		__be16 fragment = 0;

		offset = (version & 0xf) * 4;
		if (bpf_skb_load_bytes(skb, 9, &protocol, 1) || bpf_skb_load_bytes(skb, 6, &fragment, 2))
			return 0;
		if (fragment & bpf_htons(FRAGMENT))
			return 0;
		packet->server.family = AF_INET;
		if (bpf_skb_load_bytes(skb, outgoing ? 16 : 12, packet->server.address, 4))
			return 0;
	} else {
		offset = IPV6_HEADER;
		if (bpf_skb_load_bytes(skb, 6, &protocol, 1))
			return 0;
		packet->server.family = AF_INET6;
		if (bpf_skb_load_bytes(skb, outgoing ? 24 : 8, packet->server.address, 16))
			return 0;
	}
	if (protocol != IPPROTO_UDP && protocol != IPPROTO_TCP)
		return 0;
	packet->tcp = protocol == IPPROTO_TCP;
	if (bpf_skb_load_bytes(skb, offset, &transport, packet->tcp ? sizeof(transport) : UDP_HEADER))
		return 0;
	port = outgoing ? transport.destination : transport.source;
	if (port != bpf_htons(DNS_PORT))
		return 0;
	packet->server.port = DNS_PORT;
	skip = packet->tcp ? (transport.data_offset >> 4) * 4 + 2 : UDP_HEADER;
	packet->offset = offset + skip;
	if (skb->len <= packet->offset)
		return 0;
	packet->length = skb->len - packet->offset;
	if (packet->tcp) { /* a length, then the message; other segments than the first do not look like this
			    */
		__be16 length = 0;

		if (bpf_skb_load_bytes(skb, packet->offset - 2, &length, 2) ||
		    bpf_ntohs(length) != packet->length)
			return 0;
	}
	return 1;
}

static __always_inline void fill_dns(struct conntrace_dns *dns, struct __sk_buff *skb,
				     const struct packet *packet, const struct socket_state *state,
				     __u32 copied)
{
	dns->header.pid = state->pid;
	dns->header.tid = state->tid;
	dns->header.start_time_ns = state->start_time_ns;
	dns->header.cookie = bpf_get_socket_cookie(skb);
	dns->header.netns = state->netns;
	__builtin_memcpy(dns->header.comm, state->comm, sizeof(dns->header.comm));
	dns->server = packet->server;
	dns->tcp = packet->tcp;
	dns->length = copied;
	dns->complete = copied == packet->length;
}

/* A connected socket may be used by another thread than the one that connected it. A question leaves the
 * machine in the thread that sends it, so that thread is the one, provided that it is of the owner's process.
 */
static __always_inline void refine_thread(struct conntrace_header *header)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if ((__u32)BPF_CORE_READ(task, tgid) == header->pid)
		header->tid = BPF_CORE_READ(task, pid);
}

static __always_inline int copy_message(struct __sk_buff *skb, const struct packet *packet,
					struct conntrace_dns *dns, __u8 *payload, __u32 room)
{
	__u32 length = packet->length;

	if (length > room)
		length = room;
	/* Changes nothing, as there is at least one byte, and room is a power of two: it is for old
	 * verifiers, which lose what they learned from comparisons as soon as the compiler has shuffled them.
	 */
	asm volatile("" : "+r"(length));
	length = ((length - 1) & (room - 1)) + 1;
	if (bpf_skb_load_bytes(skb, packet->offset, payload, length))
		return -1;
	dns->length = length;
	return 0;
}

static __always_inline int on_packet(struct __sk_buff *skb, int outgoing)
{
	__u32 kind = outgoing ? CONNTRACE_EVENT_dns_query : CONNTRACE_EVENT_dns_answer;
	enum conntrace_program program =
		outgoing ? CONNTRACE_PROGRAM_dns_egress : CONNTRACE_PROGRAM_dns_ingress;
	struct bpf_sock *sk = skb->sk;
	struct conntrace_dns_small *record;
	struct conntrace_dns_large *large;
	struct socket_state *state;
	struct packet packet = {};

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	if (!state || !find_message(skb, outgoing, &packet))
		return 1;
	if (packet.length <= CONNTRACE_DNS_SMALL) {
		record = reserve(sizeof(*record), program, kind);
		if (!record)
			return 1;
		__builtin_memset(&record->dns.server, 0, sizeof(record->dns) - sizeof(record->dns.header));
		if (copy_message(skb, &packet, &record->dns, record->payload, CONNTRACE_DNS_SMALL)) {
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
			lost(program, CONNTRACE_LOSS_UNREADABLE);
			return 1;
		}
		fill_dns(&record->dns, skb, &packet, state, record->dns.length);
		if (outgoing && !packet.tcp)
			refine_thread(&record->dns.header);
		submit(record);
		return 1;
	}
	large = reserve(sizeof(*large), program, kind);
	if (!large)
		return 1;
	__builtin_memset(&large->dns.server, 0, sizeof(large->dns) - sizeof(large->dns.header));
	if (copy_message(skb, &packet, &large->dns, large->payload, CONNTRACE_DNS_LARGE)) {
		bpf_ringbuf_discard(large, BPF_RB_NO_WAKEUP);
		lost(program, CONNTRACE_LOSS_UNREADABLE);
		return 1;
	}
	fill_dns(&large->dns, skb, &packet, state, large->dns.length);
	if (outgoing && !packet.tcp)
		refine_thread(&large->dns.header);
	submit(large);
	return 1;
}

SEC("cgroup_skb/egress")
int dns_egress(struct __sk_buff *skb)
{
	return on_packet(skb, 1);
}

SEC("cgroup_skb/ingress")
int dns_ingress(struct __sk_buff *skb)
{
	return on_packet(skb, 0);
}
