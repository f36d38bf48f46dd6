// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* How many descriptors processes have: a walk over all processes that counts bits. What the descriptors of
 * one process are: a walk over them that counts those that are alike, and touches ten times the memory. */
#include "socket.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct bit_count {
	const unsigned long *words;
	__u64 bits;
};

static __always_inline __u32 bits_of(__u64 word)
{
	word -= word >> 1 & 0x5555555555555555;
	word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return word * 0x0101010101010101 >> 56;
}

static long count_bits(__u32 index, struct bit_count *count)
{
	unsigned long word = 0;

	if (bpf_probe_read_kernel(&word, sizeof(word), count->words + index))
		return 1;
	count->bits += bits_of(word);
	return 0;
}

SEC("iter/task")
int count_open(struct bpf_iter__task *ctx)
{
	struct conntrace_open_files out = {};
	struct task_struct *task = ctx->task;
	struct bit_count count = {};
	struct fdtable *table;

	/* A leader that has ended has no files, though other threads may: the reader notices and asks /proc.
	 */
	if (!task || task->pid != task->tgid || !task->files || !is_observed(task->tgid))
		return 0;
	table = BPF_CORE_READ(task, files, fdt);
	count.words = BPF_CORE_READ(table, open_fds);
	bpf_loop(BPF_CORE_READ(table, max_fds) / 64, count_bits, &count, 0);
	out.pid = task->tgid;
	out.start_time_ns = process_start_time(task);
	out.mono_ns = bpf_ktime_get_ns();
	out.open = count.bits;
	out.soft_limit = BPF_CORE_READ(task, signal, rlim[RLIMIT_NOFILE].rlim_cur);
	out.hard_limit = BPF_CORE_READ(task, signal, rlim[RLIMIT_NOFILE].rlim_max);
	BPF_CORE_READ_STR_INTO(&out.comm, task, comm);
	/* When the page is full the kernel gives it to the reader and shows this task again. */
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	return 0;
}

/* Descriptors for whose class there was no room. One walk at a time: the reader empties both before the next.
 */
__u64 unclassified = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct conntrace_fd_class);
	__type(value, __u64);
} fd_classes MAP;

static __always_inline void classify_peer(struct conntrace_fd_class *class, const struct sock *sk)
{
	__be32 address = sk->__sk_common.skc_daddr;

	class->port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (!class->port)
		return;
	if (class->family == AF_INET6)
		BPF_CORE_READ_INTO(&class->name, sk, __sk_common.skc_v6_daddr);
	else
		__builtin_memcpy(class->name, &address, sizeof(address));
}

/* Each client of a server has a port of its own, which says nothing. */
static __always_inline int is_accepted(const struct sock *sk)
{
	const struct socket_state *known = find_socket(sk);
	__u8 direction = known ? known->direction : direction_of(sk);

	return direction == CONNTRACE_DIRECTION_INCOMING;
}

static __always_inline void classify_socket(struct conntrace_fd_class *class, const struct socket *socket)
{
	struct sock *sk = socket->sk;

	class->mode = S_IFSOCK;
	if (!sk)
		return;
	class->family = sk->__sk_common.skc_family;
	if (class->family != AF_INET && class->family != AF_INET6)
		return;
	class->protocol = sk->sk_protocol;
	classify_peer(class, sk);
	if (class->protocol != IPPROTO_TCP)
		return;
	class->state = state_of(sk);
	if (class->port && is_accepted(sk))
		class->port = 0;
}

/* The file is the verifier's to follow: a load each, no call. */
static __always_inline void classify(struct conntrace_fd_class *class, struct file *file)
{
	struct socket *socket = bpf_sock_from_file(file);
	unsigned long magic;

	if (socket)
		return classify_socket(class, socket);
	class->mode = file->f_inode->i_mode & S_IFMT;
	if (class->mode && class->mode != S_IFREG)
		return;
	/* eventfd and its like have the mode 0 or that of a file: it depends on the kernel. */
	magic = file->f_inode->i_sb->s_magic;
	if (magic == ANON_INODE_MAGIC) {
		class->mode = 0;
		bpf_probe_read_kernel_str(class->name, sizeof(class->name), file->f_path.dentry->d_name.name);
	} else if (magic == PIDFS_MAGIC) {
		class->mode = 0;
		__builtin_memcpy(class->name, "[pidfd]", 8);
	}
}

static __always_inline void count(const struct conntrace_fd_class *class)
{
	__u64 *known = bpf_map_lookup_elem(&fd_classes, class);
	__u64 one = 1;

	if (known)
		++*known;
	else if (bpf_map_update_elem(&fd_classes, class, &one, BPF_NOEXIST))
		unclassified++;
}

SEC("iter/task_file")
int classify_descriptors(struct bpf_iter__task_file *ctx)
{
	struct conntrace_fd_class class = {};
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (!task || !file)
		return 0;
	/* A thread that has its own table (unshare): the process' is meant. */
	if (task->files != task->group_leader->files)
		return 0;
	classify(&class, file);
	count(&class);
	return 0;
}
