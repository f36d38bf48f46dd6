/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What crosses from the kernel to the agent: the records of the ring buffer and of the socket iterator, and
 * the loss counters. The only file that both sides include. Every byte of a record is written (zeroed, then
 * filled). A number that is not known is 0, unless its comment says otherwise.
 */
#ifndef CONNTRACE_KERNEL_EVENT_H
#define CONNTRACE_KERNEL_EVENT_H

#include <linux/types.h>

#include "conntrace/vocabulary.h"

/* clang-format off */
/* X(program, its section): everything that writes records, and so can lose one. Ids are not kept across builds. */
#define CONNTRACE_PROGRAMS(X) \
	X(inet_sock_set_state, "tp_btf/inet_sock_set_state") \
	X(tcp_receive_reset, "tp_btf/tcp_receive_reset") \
	X(tcp_send_reset, "tp_btf/tcp_send_reset") \
	X(tcp_retransmit_skb, "tp_btf/tcp_retransmit_skb") \
	X(tcp_retransmit_synack, "tp_btf/tcp_retransmit_synack") \
	X(inet_sk_error_report, "tp_btf/inet_sk_error_report") \
	X(tcp_destroy_sock, "tp_btf/tcp_destroy_sock") \
	X(tcp_sendmsg_locked, "tp_btf/tcp_sendmsg_locked") \
	X(sock_send_length, "tp_btf/sock_send_length") \
	X(sock_recv_length, "tp_btf/sock_recv_length") \
	X(tcp_sendmsg_entry, "fentry/tcp_sendmsg") \
	X(tcp_recvmsg_exit, "fexit/tcp_recvmsg") \
	X(existing_sockets, "iter/task_file") \
	X(count_open, "iter/task") \
	X(classify_descriptors, "iter/task_file, counting") \
	X(dns_connect4, "cgroup/connect4") \
	X(dns_connect6, "cgroup/connect6") \
	X(dns_sendmsg4, "cgroup/sendmsg4") \
	X(dns_sendmsg6, "cgroup/sendmsg6") \
	X(dns_egress, "cgroup_skb/egress") \
	X(dns_ingress, "cgroup_skb/ingress") \
	X(sys_exit, "tp_btf/sys_exit") \
	X(sched_process_fork, "tp_btf/sched_process_fork") \
	X(sched_process_exec, "tp_btf/sched_process_exec") \
	X(sched_process_exit, "tp_btf/sched_process_exit") \
	X(ring_barrier, "syscall")
/* clang-format on */

enum conntrace_program {
#define CONNTRACE_ROW(name, section) CONNTRACE_PROGRAM_##name,
	CONNTRACE_PROGRAMS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
		CONNTRACE_PROGRAM_COUNT
};

enum conntrace_loss {
	CONNTRACE_LOSS_RING_FULL, /* a record that was not written */
	CONNTRACE_LOSS_MAP_FULL, /* a socket or process that is not observed, with all that it would have said
				  */
	CONNTRACE_LOSS_UNREADABLE, /* a packet whose bytes could not be had */
	CONNTRACE_LOSS_COUNT
};

/* Not an event: the reader asked where the ring's end is. Its number is in `cookie`. */
#define CONNTRACE_RECORD_BARRIER 0xffffffffu

/* What a walk over the descriptors of observed processes does with the sockets that it finds. */
enum conntrace_walk {
	CONNTRACE_WALK_ADOPT,	 /* announces those that nobody has seen yet */
	CONNTRACE_WALK_DESCRIBE, /* announces those that are known, once more, and changes nothing */
	CONNTRACE_WALK_FORGET,	 /* forgets those that the process owns */
};

#define CONNTRACE_COMM_LENGTH 16
#define CONNTRACE_DNS_SMALL   512
#define CONNTRACE_DNS_LARGE   4096
#define CONNTRACE_CPUS	      256 /* a power of two; CPUs beyond share counters */

struct conntrace_header {
	__u32 kind;	     /* enum conntrace_event_kind */
	__u32 program;	     /* enum conntrace_program */
	__u32 pid;	     /* in the initial pid namespace */
	__u32 tid;	     /* 0 where the thread is not the one that acts (softirq) */
	__u64 mono_ns;	     /* CLOCK_MONOTONIC */
	__u64 start_time_ns; /* of pid, since boot, rounded down to 10 ms as in /proc/PID/stat */
	__u64 cookie;	     /* SO_COOKIE */
	__u64 netns;	     /* inode of the socket's network namespace */
	__u64 sequence; /* CPU in the upper 8 bits, below its records from 1; 0: it came by an iterator */
	char comm[CONNTRACE_COMM_LENGTH];
};

/* IPv4 in the first four bytes. */
struct conntrace_endpoint {
	__u8 address[16];
	__u16 port; /* host byte order */
	__u16 family;
	__u32 zero;
};

enum conntrace_direction {
	CONNTRACE_DIRECTION_UNKNOWN,
	CONNTRACE_DIRECTION_OUTGOING,
	CONNTRACE_DIRECTION_INCOMING,
};

/* All TCP kinds; each fills its part. */
struct conntrace_tcp {
	struct conntrace_endpoint local;
	struct conntrace_endpoint remote;
	__u64 handshake_ns;
	__u64 idle_ns;
	__u64 opened_ns;
	__u64 bytes_sent;
	__u64 bytes_received;
	__u32 retransmits;
	__u32 syn_retransmits;
	__u32 srtt_us;
	__s32 error; /* sk_err, or the reason of a reset: -1 if this kernel does not say it */
	__s32 fd;    /* tcp_existing, tcp_connect, tcp_accept: -1 if not known */
	__u8 from;   /* state, or the state before */
	__u8 to;     /* state after */
	__u8 direction;
	__u8 end;
};

struct conntrace_fd {
	__s32 error;
	__u32 syscall;
	__u32 foreign; /* a 32-bit call: its number is of another table */
	__u32 zero;
};

/* What a descriptor is. Those of a process that are alike are counted together. */
struct conntrace_fd_class {
	__u16 mode;   /* the inode's S_IFMT; 0: an anonymous inode, which has a name */
	__u16 family; /* of a socket, and its protocol */
	__u16 protocol;
	__u16 port; /* of the peer, host byte order; 0 if this side accepted */
	__u8 state; /* of TCP */
	__u8 zero[7];
	__u8 name[16]; /* of the anonymous inode; or the peer's address, as in conntrace_endpoint */
};

/* What the walk over tasks writes for each observed process. Limits: ~0 is none. */
struct conntrace_open_files {
	__u32 pid;
	__u32 zero;
	__u64 start_time_ns;
	__u64 mono_ns;
	__u64 open;
	__u64 soft_limit;
	__u64 hard_limit;
	char comm[CONNTRACE_COMM_LENGTH];
};

/* No user but root may look into it: a set-user-ID program, for example. */
#define CONNTRACE_NO_USER 0xffffffffu

struct conntrace_process {
	__u32 parent;
	__s32 exit_status; /* as in wait(2) */
	__u32 executed;	   /* process_start: the process has a new program */
	__u32 user;	   /* process_start: whose it is, or CONNTRACE_NO_USER */
};

struct conntrace_record {
	struct conntrace_header header;
	union {
		struct conntrace_tcp tcp;
		struct conntrace_fd fd;
		struct conntrace_process process;
	};
};

struct conntrace_dns {
	struct conntrace_header header;
	struct conntrace_endpoint server;
	__u32 length;	/* of payload: what was copied */
	__u32 complete; /* it is the whole message */
	__u32 tcp;	/* one segment, whose length prefix is cut off */
	__u32 zero;
};

struct conntrace_dns_small {
	struct conntrace_dns dns;
	__u8 payload[CONNTRACE_DNS_SMALL];
};

struct conntrace_dns_large {
	struct conntrace_dns dns;
	__u8 payload[CONNTRACE_DNS_LARGE];
};

#endif
