// SPDX-License-Identifier: Apache-2.0
// The way of a request that needs a dial through the limits.
#include <utility>

#include "pool/pool_impl.h"

namespace conntrace::pool {

// Takes the waiter through the limits, from this one on, until one binds or its dial begins. It may be refused, and
// then is gone.
void PoolCore::Impl::admit(Waiter& waiter, Stage from, Actions& out) {
  Host& host = *waiter.host;
  if (from <= Stage::host_slot && host.full()) return enqueue(waiter, host.gate, out);
  if (from <= Stage::total_slot && total_.size != 0) {
    if (total_.queue.empty() && total_full() && !idle_.empty()) close(idle_.front(), CloseReason::max_total_conns, out);
    if (!total_.queue.empty() || total_full()) return enqueue(waiter, total_, out);
  }
  if (from <= Stage::descriptor && !descriptors_.queue.empty()) return enqueue(waiter, descriptors_, out);
  if (from <= Stage::dial_slot && dials_.size != 0 && (!dials_.queue.empty() || counts_.dialling >= dials_.size)) {
    return enqueue(waiter, dials_, out);
  }
  begin_dial(waiter, out);
}

void PoolCore::Impl::enqueue(Waiter& waiter, Gate& gate, Actions& out) {
  Host& host = *waiter.host;
  if (!waiter.admitted && host.limits.max_queue != 0 && host.queued >= host.limits.max_queue) {
    ++counts_.refused;
    out.emplace_back(Refused{waiter.request, host.limits.max_queue});
    return forget(waiter);
  }
  waiter.admitted = true;
  reserve(waiter, gate);
  waiter.gate = &gate;
  waiter.queued_at = now_;
  waiter.queued_mark = gate.log.mark();
  std::vector<Slot> holders;
  if (waiter.explain) {
    waiter.held_before = held_ns(gate, host);
    holders = holders_now(gate, host);
    ++gate.explained;
  }
  if (&gate == &descriptors_ && gate.queue.empty()) descriptor_retry_ = now_ + kDescriptorRetry;
  gate.queue.push_back(waiter);
  ++host.queued;
  ++counts_.waiting;
  ++counts_.queue_enters;
  const auto depth = static_cast<std::uint32_t>(gate.queue.size());
  out.emplace_back(Queued{waiter.request, gate.limit, gate.size, depth, depth, std::move(holders)});
}

void PoolCore::Impl::dequeue(Waiter& waiter, QueueOutcome outcome, Actions& out) {
  Gate& gate = *std::exchange(waiter.gate, nullptr);
  Host& host = *waiter.host;
  Holders holders;
  if (waiter.explain) {
    holders = holders_during(waiter, gate);
    --gate.explained;
  }
  out.emplace_back(Dequeued{waiter.request, gate.limit, outcome, now_ - waiter.queued_at,
                            outcome == QueueOutcome::slot_freed || outcome == QueueOutcome::handoff ? giver_ : 0,
                            std::move(holders.slots), holders.others_share});
  gate.queue.erase(waiter);
  --host.queued;
  --counts_.waiting;
  ++counts_.queue_leaves;
  if (gate.explained == 0) {
    gate.log.clear();
  } else {
    gate.log.forget_before(gate.queue.front().queued_mark);
  }
}

bool PoolCore::Impl::total_full() const {
  const std::size_t slots = counts_.open() + descriptors_.queue.size() + dials_.queue.size();
  return total_.size != 0 && slots >= total_.size;
}

bool PoolCore::Impl::admit_first(Gate& gate, Stage next, Actions& out) {
  if (gate.queue.empty()) return false;
  Waiter& waiter = gate.queue.front();
  if (&gate == &descriptors_) {
    if (descriptors_freed_ == 0) return false;
    --descriptors_freed_;
  } else if (&gate == &dials_) {
    if (counts_.dialling >= dials_.size) return false;
  } else if (&gate == &total_ ? total_full() : waiter.host->full()) {
    return false;
  }
  dequeue(waiter, QueueOutcome::slot_freed, out);
  admit(waiter, next, out);
  return true;
}

void PoolCore::Impl::changed(Host& host) {
  if (!host.in_changed.linked()) changed_.push_back(host);
}

// Go's decConnsPerHost for every limit: what is free goes to the first who waits for it. The limits that come last on
// the way come first here, so that whoever arrives at a queue finds it in order.
void PoolCore::Impl::settle(Actions& out) {
  if (changed_.empty() && descriptors_freed_ == 0) return;
  for (;;) {
    if (admit_first(descriptors_, Stage::dial_slot, out) || admit_first(dials_, Stage::dial, out) ||
        admit_first(total_, Stage::descriptor, out)) {
      continue;
    }
    if (changed_.empty()) break;
    Host& host = changed_.front();
    if (admit_first(host.gate, Stage::total_slot, out)) continue;
    changed_.erase(host);
    hosts_.drop_if_unused(host);
  }
  descriptors_freed_ = 0;
}

}  // namespace conntrace::pool
