// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Following processes, and the barrier by which the reader knows that it has read everything. */
#include "common.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void fill_task(struct conntrace_record *record, struct task_struct *task)
{
	record->header.pid = BPF_CORE_READ(task, tgid);
	record->header.tid = BPF_CORE_READ(task, pid);
	record->header.start_time_ns = process_start_time(task);
	BPF_CORE_READ_STR_INTO(&record->header.comm, task, comm);
}

/* Set-user-ID and set-group-ID programs and those with capabilities of their file are nobody's. */
static __always_inline __u32 user_of(struct task_struct *task)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);
	__u32 user = BPF_CORE_READ(cred, uid.val);
	__u32 group = BPF_CORE_READ(cred, gid.val);
	__u64 capabilities = 0;

	if (BPF_CORE_READ(cred, euid.val) != user || BPF_CORE_READ(cred, suid.val) != user)
		return CONNTRACE_NO_USER;
	if (!user)
		return user;
	bpf_core_read(&capabilities, sizeof(capabilities), &cred->cap_permitted);
	if (capabilities || BPF_CORE_READ(cred, egid.val) != group || BPF_CORE_READ(cred, sgid.val) != group)
		return CONNTRACE_NO_USER;
	return user;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_tgid = BPF_CORE_READ(parent, tgid);
	__u32 tgid = BPF_CORE_READ(child, tgid);
	struct conntrace_record *record;

	if (tgid == parent_tgid || !(observe_all || follow_children) || !is_observed(parent_tgid))
		return 0;
	if (bpf_map_update_elem(&observed, &tgid, &parent_tgid, BPF_ANY)) {
		lost(CONNTRACE_PROGRAM_sched_process_fork, CONNTRACE_LOSS_MAP_FULL);
		return 0;
	}
	record = reserve_record(CONNTRACE_PROGRAM_sched_process_fork, CONNTRACE_EVENT_process_start);
	if (!record)
		return 0;
	fill_task(record, child);
	record->process.parent = parent_tgid;
	record->process.user = user_of(child);
	submit(record);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *task)
{
	__u32 tgid = BPF_CORE_READ(task, tgid);
	struct conntrace_record *record;
	__u32 *parent;

	parent = bpf_map_lookup_elem(&observed, &tgid);
	if (!parent)
		return 0;
	record = reserve_record(CONNTRACE_PROGRAM_sched_process_exec, CONNTRACE_EVENT_process_start);
	if (!record)
		return 0;
	fill_task(record, task);
	record->process.parent = *parent;
	record->process.executed = 1;
	record->process.user = user_of(task);
	submit(record);
	return 0;
}

/* Runs for each thread; the process ends with its last one. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	struct conntrace_record *record;
	__u32 tgid = BPF_CORE_READ(task, tgid);

	if (!bpf_map_lookup_elem(&observed, &tgid) || BPF_CORE_READ(task, signal, live.counter))
		return 0;
	/* Two threads may both have been the last; one of them deletes the entry. */
	if (bpf_map_delete_elem(&observed, &tgid))
		return 0;
	record = reserve_record(CONNTRACE_PROGRAM_sched_process_exit, CONNTRACE_EVENT_process_exit);
	if (!record)
		return 0;
	fill_task(record, task);
	if (BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT)
		record->process.exit_status = BPF_CORE_READ(task, signal, group_exit_code);
	else
		record->process.exit_status = BPF_CORE_READ(task, group_leader, exit_code);
	submit(record);
	return 0;
}

struct barrier_arguments {
	__u64 number;
};

/* Run by the reader. Returns 0 when the mark is in the ring: everything that was written before comes before
 * it. */
SEC("syscall")
int ring_barrier(struct barrier_arguments *arguments)
{
	struct conntrace_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record)
		return 1;
	__builtin_memset(record, 0, sizeof(*record));
	record->header.kind = CONNTRACE_RECORD_BARRIER;
	record->header.cookie = arguments->number;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}
