// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The moment at which a descriptor, or a local port, could not be had. */
#include "common.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The number of connect(2) on this architecture; set between open and load. */
const volatile __u32 connect_syscall = 0;

static __always_inline __u32 syscall_of(void *regs)
{
	if (bpf_core_field_exists(((struct pt_regs___x86 *)0)->orig_ax))
		return BPF_CORE_READ((struct pt_regs___x86 *)regs, orig_ax);
	return BPF_CORE_READ((struct pt_regs___arm64 *)regs, syscallno);
}

static __always_inline __u32 is_foreign(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->thread_info.status))
		return 0;
	return !!(BPF_CORE_READ(task, thread_info.status) & TS_COMPAT);
}

static __always_inline int on_failure(void *regs, int error)
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

/* Every system call of the machine passes here: one comparison for those that did not fail. */
SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, void *regs, long result)
{
	if (result >= 0)
		return 0;
	if (result != -EMFILE && result != -ENFILE && result != -EADDRNOTAVAIL)
		return 0;
	return on_failure(regs, -result);
}
