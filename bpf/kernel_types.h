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
#define RLIMIT_NOFILE	  7
#define S_IFMT		  0170000
#define S_IFSOCK	  0140000
#define S_IFREG		  0100000
#define ANON_INODE_MAGIC  0x09041934 /* file systems: of eventfd and its like, of pidfd */
#define PIDFS_MAGIC	  0x50494446
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

typedef struct {
	__s64 counter;
} atomic64_t;

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
	atomic64_t skc_cookie;
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

struct super_block {
	unsigned long s_magic;
};

struct inode {
	__u16 i_mode;
	struct super_block *i_sb;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *open_fds;
};

struct files_struct {
	struct fdtable *fdt;
};

struct seq_file;

typedef struct {
	int counter;
} atomic_t;

struct rlimit {
	unsigned long rlim_cur;
	unsigned long rlim_max;
};

struct signal_struct {
	struct rlimit rlim[16];
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
};

struct thread_info {
	__u32 status;
};

typedef struct {
	unsigned int val;
} kuid_t;

typedef struct {
	unsigned int val;
} kgid_t;

/* The kernel's has one number of 64 bits, or two of 32. */
typedef struct {
	__u32 cap[2];
} kernel_cap_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t suid;
	kgid_t sgid;
	kuid_t euid;
	kgid_t egid;
	kernel_cap_t cap_permitted;
};

struct task_struct {
	struct thread_info thread_info;
	const struct cred *cred;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	__u64 start_boottime;
	char comm[16];
	struct signal_struct *signal;
	struct files_struct *files;
};

/* The number of the system call has another name on each architecture. */
struct pt_regs___x86 {
	unsigned long di;
	unsigned long orig_ax;
};
struct pt_regs___arm64 {
	__u64 orig_x0;
	int syscallno;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
