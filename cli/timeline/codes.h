// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conntrace/reasons.h"

namespace conntrace {

// Words of timelines that event records do not have. One row each: value and meaning (docs and schema show both).

// clang-format off
#define CONNTRACE_SEVERITIES(X) \
  X(info, "worth knowing") X(warning, "costs time or will cost requests") X(error, "costs requests")

#define CONNTRACE_AFTERS(X) \
  X(idle, "went back to the pool") X(handed_on, "went to a waiting request at once") X(closed, "was closed")

#define CONNTRACE_FINDING_CODES(X) \
  X(queued_behind_limit, "the request waited because a connection limit was reached") \
  X(syn_retransmitted, "a connect had to send its SYN again") \
  X(stale_reuse, "a pooled connection was dead when it was used again") \
  X(close_crossed_request, "the peer closed while the request was on its way to it") \
  X(idle_evicted_early, "a connection was closed for being idle shortly before it was needed again") \
  X(reuse_disabled, "connections are not kept, so every request dials") \
  X(fd_limit_near, "the process uses 80 % or more of its descriptor limit") \
  X(fd_limit_hit, "a system call failed for want of a descriptor or a port") \
  X(dns_slow, "name resolution took 100 ms or more") \
  X(sources_disagree, "the library and the kernel say different things of one connection")
// clang-format on

CONNTRACE_DEFINE_ENUM(Severity, CONNTRACE_SEVERITIES);
/// What became of a connection right after a request.
CONNTRACE_DEFINE_ENUM(After, CONNTRACE_AFTERS);
/// The findings that this version makes; docs/findings.md explains each.
CONNTRACE_DEFINE_ENUM(FindingCode, CONNTRACE_FINDING_CODES);

}  // namespace conntrace
