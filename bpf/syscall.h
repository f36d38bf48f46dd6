/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which system call a thread is in, and with what. */
#ifndef CONNTRACE_BPF_SYSCALL_H
#define CONNTRACE_BPF_SYSCALL_H

#include "common.h"

/* Their numbers on this architecture; set between open and load. */
__weak const volatile __u32 connect_syscall = 0;
__weak const volatile __u32 accept_syscall = 0;
__weak const volatile __u32 accept4_syscall = 0;

/* Straight from the registers: this is what every system call of the machine pays. */
static __always_inline __u32 syscall_of(const struct pt_regs *regs)
{
	if (bpf_core_field_exists(((struct pt_regs___x86 *)0)->orig_ax))
		return ((const struct pt_regs___x86 *)regs)->orig_ax;
	return ((const struct pt_regs___arm64 *)regs)->syscallno;
}

static __always_inline __u64 first_argument_of(const struct pt_regs *regs)
{
	if (bpf_core_field_exists(((struct pt_regs___x86 *)0)->orig_ax))
		return BPF_CORE_READ((const struct pt_regs___x86 *)regs, di);
	return BPF_CORE_READ((const struct pt_regs___arm64 *)regs, orig_x0);
}

/* A 32-bit call: its number is of another table. */
static __always_inline __u32 is_foreign(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->thread_info.status))
		return 0;
	return !!(BPF_CORE_READ(task, thread_info.status) & TS_COMPAT);
}

/* The descriptor of the connect(2) that the current thread is in; -1: it is in something else (io_uring, a
 * send with fast open). */
static __always_inline int connecting_fd(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct pt_regs *regs = (const struct pt_regs *)bpf_task_pt_regs(task);

	if (is_foreign(task) || syscall_of(regs) != connect_syscall)
		return -1;
	return (int)first_argument_of(regs);
}

#endif
