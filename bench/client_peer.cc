// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

#include "conntrace/client.h"
#include "conntrace/recorder.h"
#include "conntrace/vocabulary.h"
#include "peer.h"

namespace conntrace::bench {
namespace {

struct Counters {
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::uint64_t> failed = 0;
  std::atomic<std::uint64_t> body_bytes = 0;
  std::atomic<std::uint64_t> hooks = 0;
  std::atomic<bool> stop = false;
  std::atomic<std::size_t> under_way = 0;
};

// One thread writes, another reads: a load and a store are enough.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

std::shared_ptr<const ClientTrace> counting_trace(Counters& counters) {
  auto trace = std::make_shared<ClientTrace>();
  const auto count = [&counters](const HookContext&, const auto&) { add(counters.hooks, 1); };
  trace->got_1xx_response = [&counters](const HookContext&, const Got1xxResponseInfo&) {
    add(counters.hooks, 1);
    return std::error_code();
  };
  const auto set = [&count]<class Hook>(Hook& hook) {
    if constexpr (std::is_constructible_v<Hook, decltype(count)>) hook = count;  // all but got_1xx_response
  };
#define COUNT_HOOK(name) set(trace->name);
#define COUNT_KERNEL(name)
#define COUNT_STREAM(name)
#define COUNT_ROW(name, payload, origin, meaning) COUNT_##origin(name)
  CONNTRACE_EVENTS(COUNT_ROW)
#undef COUNT_ROW
#undef COUNT_STREAM
#undef COUNT_KERNEL
#undef COUNT_HOOK
  return trace;
}

void send_next(Client& client, const Load& load, Counters& counters) {
  client.send({.url = load.url}, [&client, &load, &counters](const Result<Response>& response) {
    add(counters.requests, 1);
    if (response && response->status == 200) {
      add(counters.body_bytes, response->body.size());
    } else {
      add(counters.failed, 1);
    }
    if (counters.stop) {
      --counters.under_way;
    } else {
      send_next(client, load, counters);
    }
  });
}

void run(const Load& load, const Observe& observe, Counters& counters, std::shared_ptr<const ClientTrace> trace,
         const Sink* sink) {
  Client client(std::make_shared<Transport>(
      TransportOptions{.max_idle_conns_per_host = static_cast<int>(load.concurrency), .trace = std::move(trace)}));
  counters.under_way = load.concurrency;
  for (std::size_t i = 0; i < load.concurrency; ++i) send_next(client, load, counters);
  const auto tally = [&] {
    return Tally{.requests = counters.requests,
                 .failed = counters.failed,
                 .body_bytes = counters.body_bytes,
                 .hooks = counters.hooks,
                 .records_lost = sink != nullptr ? sink->lost() : 0};
  };
  do std::this_thread::sleep_for(std::chrono::milliseconds(10));
  while (observe(tally()));
  counters.stop = true;
  while (counters.under_way > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

void run_client(const Load& load, const Observe& observe) {
  Counters counters;
  run(load, observe, counters, nullptr, nullptr);
}

void run_client_hooks(const Load& load, const Observe& observe) {
  Counters counters;
  run(load, observe, counters, counting_trace(counters), nullptr);
}

void run_client_record(const Load& load, const Observe& observe) {
  auto sink = open_file_sink(load.record_to);
  if (!sink) {
    std::fprintf(stderr, "client_bench: %s\n", sink.error().message().c_str());
    std::exit(1);
  }
  auto recorder = std::make_shared<Recorder>();
  recorder->add_sink(*sink);
  Counters counters;
  run(load, observe, counters, recorder->trace(), sink->get());
}

}  // namespace conntrace::bench
