// SPDX-License-Identifier: Apache-2.0
// When timelines are given out, and when what they were made of is forgotten.
#include <algorithm>

#include "timeline/engine.h"
#include "timeline/findings.h"

namespace conntrace::cli {
namespace {

/// A connection that the library closed waits this long for the kernel's word on how it ended: after our FIN the peer's
/// may take its time.
constexpr std::uint64_t kKernelWordNs = 2'000'000'000;
constexpr std::size_t kDoneKept = 1024;

}  // namespace

void Engine::schedule(const Request& request) {
  waiting_.insert({request->done_ns + settle_ns_, ++sequence_, request});
}

void Engine::schedule(const Socket& socket) {
  if (socket->emitted) return;
  const KernelClose& kernel = socket->kernel_close;
  const bool more_to_come = socket->by_kernel && kernel.destroyed_ns == 0;
  std::uint64_t closed_ns = kernel.destroyed_ns;
  if (closed_ns == 0) closed_ns = kernel.state_closed_ns;
  if (socket->hook_close) closed_ns = std::max(closed_ns, socket->hook_close->at_ns);
  schedule_at(socket, closed_ns + (more_to_come ? kKernelWordNs : settle_ns_));
}

/// What an exited process left behind may still be told for a while, then it is forgotten.
void Engine::schedule_exit(const Process& process) {
  waiting_.insert({process->exited_ns + settle_ns_ + kKernelWordNs, ++sequence_, process});
}

void Engine::schedule_at(const Socket& socket, std::uint64_t due_ns) {
  if (due_ns == socket->due_ns) return;
  socket->due_ns = due_ns;  // an earlier entry of the queue counts no more
  waiting_.insert({due_ns, ++sequence_, socket});
}

void Engine::give_out(std::uint64_t now_ns) {
  while (!waiting_.empty() && waiting_.begin()->due_ns < now_ns) {
    const Waiting next = *waiting_.begin();
    waiting_.erase(waiting_.begin());
    if (const auto* request = std::get_if<Request>(&next.what)) {
      emit(*request);
    } else if (const auto* socket = std::get_if<Socket>(&next.what)) {
      if ((*socket)->due_ns == next.due_ns) emit(*socket);
    } else {
      forget(std::get<Process>(next.what));
    }
  }
}

void Engine::emit(const Request& request) {
  if (request->emitted) return;
  request->emitted = true;
  ProcessState& process = *request->process;
  const auto known = process.requests.find(request->facts.number);
  if (known != process.requests.end() && known->second == request) process.requests.erase(known);
  process.done_requests.push_back(request->facts.number);
  if (process.done_requests.size() > kDoneKept) process.done_requests.pop_front();
  if (sink_.request) sink_.request(timeline_of(*request));
}

void Engine::emit(const Socket& socket) {
  if (socket->emitted) return;
  socket->emitted = true;
  sockets_.retire(socket);
  std::erase(loose_, socket);
  if (sink_.connection && !socket->listening) sink_.connection(timeline_of(*socket));
}

void Engine::emit_census(const Process& process, const EventHeader& header, std::optional<FdAlarm> alarm) {
  ProcessTimeline out;
  out.time = wall_time(*process, header.mono_ns);
  if (!out.time) out.unavailable["time"] = "no stream_start with a wall time";
  out.mono_ns = header.mono_ns;
  out.sources.push_back(header.source);
  out.process = facts_of(*process, out.unavailable);
  out.alarm = std::move(alarm);
  if (process->censuses.empty()) {
    out.unavailable["fds"] = "no descriptor census of this process yet";
  } else {
    FdFacts facts = process->censuses.back().facts;
    facts.limit_hits = process->limit_hits;
    out.fds.emplace();
    static_cast<FdFacts&>(*out.fds) = facts;
    if (process->fd_classes.empty()) {
      out.unavailable["fds.classes"] = "the last census counted descriptors and did not look what they are";
    } else {
      out.fds->classes = process->fd_classes;
    }
    process->shown = facts;
  }
  out.findings = findings_of(out);
  if (sink_.process) sink_.process(out);
}

void Engine::forget(const Process& process) {
  for (const auto requests = process->requests; const auto& [number, request] : requests) emit(request);
  for (const Socket& socket : sockets_.live()) {
    if (socket->process == process) emit(socket);
  }
  processes_.erase(process);
}

void Engine::finish() {
  give_out(UINT64_MAX);
  std::vector<Request> requests;
  for (const Process& process : processes_.all()) {
    for (const auto& [number, request] : process->requests) requests.push_back(request);
  }
  std::ranges::stable_sort(requests, {}, &RequestState::first_ns);
  for (const Request& request : requests) emit(request);
  for (const Socket& socket : sockets_.live()) emit(socket);
  for (const std::vector<Socket> loose = loose_; const Socket& socket : loose) emit(socket);
}

}  // namespace conntrace::cli
