// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* What system calls say of descriptors: the moment at which one, or a local port, could not be had; which one
 * an accepted connection got; a new limit. */
#include "syscall.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int on_failure(const struct pt_regs *regs, int error)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct conntrace_record *record;
	__u32 syscall, foreign;

	if (!is_observed(bpf_get_current_pid_tgid() >> 32))
		return 0;
	syscall = syscall_of(regs);
	foreign = is_foreign(task);
	if (error == EADDRNOTAVAIL && (foreign || syscall != connect_syscall))
		return 0;
	record = reserve_record(CONNTRACE_PROGRAM_sys_exit, CONNTRACE_EVENT_fd_limit_hit);
	if (!record)
		return 0;
	fill_current(&record->header);
	record->fd.error = error;
	record->fd.syscall = syscall;
	record->fd.foreign = foreign;
	submit(record);
	return 0;
}

static __always_inline const struct sock *socket_of(struct task_struct *task, unsigned int fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct socket *socket;
	struct file *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds) || bpf_probe_read_kernel(&file, sizeof(file), &files[fd]) ||
	    !file)
		return NULL;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

/* The connection's cookie was made when it was established, if it is observed. */
static __always_inline int on_accept(unsigned int fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct conntrace_record *record;
	const struct sock *sk;
	__u64 cookie;

	if (!is_observed(bpf_get_current_pid_tgid() >> 32) || is_foreign(task))
		return 0;
	sk = socket_of(task, fd);
	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (!cookie)
		return 0;
	record = reserve_record(CONNTRACE_PROGRAM_sys_exit, CONNTRACE_EVENT_tcp_accept);
	if (!record)
		return 0;
	fill_current(&record->header);
	record->header.cookie = cookie;
	record->header.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	record->tcp.fd = fd;
	submit(record);
	return 0;
}

/* Every system call of the machine passes here: two comparisons for those that fail, two for the others. */
SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, const struct pt_regs *regs, long result)
{
	__u32 syscall;

	if (result < 0) {
		if (result != -EMFILE && result != -ENFILE && result != -EADDRNOTAVAIL)
			return 0;
		return on_failure(regs, -result);
	}
	syscall = syscall_of(regs);
	if (syscall == accept4_syscall || syscall == accept_syscall)
		return on_accept(result);
	return 0;
}
