/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What every program shares: the maps, who is observed, and how a record gets into the ring. */
#ifndef CONNTRACE_BPF_COMMON_H
#define CONNTRACE_BPF_COMMON_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "kernel_event.h"
#include "kernel_types.h"

/* Maps and knobs are weak: each object has its copy, and the linker keeps one. */
#define MAP __weak SEC(".maps")

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring MAP;

/* Observed processes: the key is the tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u32);
} observed MAP;

/* Set between open and load. */
__weak const volatile __u32 follow_children = 1;
__weak const volatile __u64 ring_wakeup_bytes = 4 << 20;

/* Mapped into the reader, which sets it at any time. */
__weak __u32 observe_all = 0;

/* Mapped into the reader: read without a system call. */
__weak __u64 losses[CONNTRACE_PROGRAM_COUNT][CONNTRACE_LOSS_COUNT] = {};

/* Records that were submitted, by CPU; each has a cache line. */
__weak __u64 written[CONNTRACE_CPUS][8] = {};

static __always_inline void lost(enum conntrace_program program, enum conntrace_loss why)
{
	__sync_fetch_and_add(&losses[program][why], 1);
}

static __always_inline int is_observed(__u32 tgid)
{
	return observe_all || bpf_map_lookup_elem(&observed, &tgid);
}

static __always_inline __u64 process_start_time(struct task_struct *task)
{
	/* /proc/PID/stat shows it in ticks of USER_HZ, 100 a second on every architecture that BPF runs on.
	 */
	return BPF_CORE_READ(task, group_leader, start_boottime) / 10000000 * 10000000;
}

/* Zeroed, with kind and time; NULL if the ring is full, and then counted. */
static __always_inline void *reserve(__u64 size, enum conntrace_program program, __u32 kind)
{
	struct conntrace_header *header = bpf_ringbuf_reserve(&ring, size, 0);

	if (!header) {
		lost(program, CONNTRACE_LOSS_RING_FULL);
		return NULL;
	}
	__builtin_memset(header, 0, sizeof(*header));
	header->kind = kind;
	header->program = program;
	header->mono_ns = bpf_ktime_get_ns();
	return header;
}

static __always_inline struct conntrace_record *reserve_record(enum conntrace_program program, __u32 kind)
{
	struct conntrace_record *record = reserve(sizeof(*record), program, kind);

	if (record)
		__builtin_memset(&record->tcp, 0, sizeof(record->tcp));
	return record;
}

/* A sleeping reader looks every few milliseconds anyway; waking it costs the observed thread, so only when
 * half full. */
static __always_inline void submit(void *record)
{
	__u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u32 cpu = bpf_get_smp_processor_id() & (CONNTRACE_CPUS - 1);

	((struct conntrace_header *)record)->sequence =
		(__u64)cpu << 56 | (__sync_fetch_and_add(&written[cpu][0], 1) + 1);
	bpf_ringbuf_submit(record, used >= ring_wakeup_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* The thread that runs now. Only for programs that run in the context of the process concerned. */
static __always_inline void fill_current(struct conntrace_header *header)
{
	__u64 id = bpf_get_current_pid_tgid();

	header->pid = id >> 32;
	header->tid = (__u32)id;
	header->start_time_ns = process_start_time((struct task_struct *)bpf_get_current_task());
	bpf_get_current_comm(header->comm, sizeof(header->comm));
}

#endif
