/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The few kernel structs that the programs look into, with only the members that they use. libbpf moves each
 * access to where the member is in the running kernel (CO-RE), so order and gaps here mean nothing.
 */
#ifndef CONNTRACE_KERNEL_TYPES_H
#define CONNTRACE_KERNEL_TYPES_H

#include <linux/types.h>

#define AF_INET	 2
#define AF_INET6 10

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

#define EMFILE	      24
#define ENFILE	      23
#define EADDRNOTAVAIL 99

/* include/net/tcp_states.h */
enum {
	STATE_NOT_KNOWN,
	TCP_ESTABLISHED,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};

#define SOCK_DONE_BIT	  1 /* enum sock_flags: a FIN arrived */
#define SIGNAL_GROUP_EXIT 4
#define TS_COMPAT	  2 /* x86: a 32-bit system call */
#define MSG_PEEK	  0x02
#define MSG_ERRQUEUE	  0x2000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	union {
		struct {
			__be32 skc_daddr;
			__be32 skc_rcv_saddr;
		};
	};
	union {
		struct {
			__be16 skc_dport;
			__u16 skc_num;
		};
	};
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	union {
		unsigned long skc_flags;
	};
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	__u16 sk_protocol;
};

struct tcp_sock {
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
	__u64 bytes_acked;
	__u32 write_seq;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 srtt_us; /* eight times the smoothed round trip time */
	__u32 total_retrans;
};

struct request_sock {
	struct sock_common __req_common;
};

struct sk_buff;
struct msghdr;
struct linux_binprm;

struct socket {
	struct sock *sk;
};

struct file;
struct seq_file;

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
};

struct thread_info {
	__u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	__u64 start_boottime;
	char comm[16];
	struct signal_struct *signal;
};

/* The number of the system call has another name on each architecture. */
struct pt_regs___x86 {
	unsigned long orig_ax;
};
struct pt_regs___arm64 {
	int syscallno;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
