// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "conntrace/client.h"
#include "conntrace/recorder.h"
#include "conntrace/tap.h"
#include "peer.h"
#include "record/every_hook.h"

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
  return every_hook([&counters]<EventKind>(const HookContext&, const auto&) { add(counters.hooks, 1); });
}

std::shared_ptr<Transport> make_transport(const Load& load, std::shared_ptr<const ClientTrace> trace) {
  TransportOptions options{.max_idle_conns_per_host = static_cast<int>(load.concurrency), .trace = std::move(trace)};
  options.max_idle_conns = 0;
  options.tls.ca_file = load.ca_file;
  return std::make_shared<Transport>(std::move(options));
}

void count(const Result<Response>& response, Counters& counters) {
  add(counters.requests, 1);
  if (response && response->status == 200) {
    add(counters.body_bytes, response->body.size());
  } else {
    add(counters.failed, 1);
  }
}

void send_next(Client& client, const Load& load, Counters& counters) {
  client.send({.url = load.url}, [&client, &load, &counters](const Result<Response>& response) {
    count(response, counters);
    if (counters.stop) {
      --counters.under_way;
    } else {
      send_next(client, load, counters);
    }
  });
}

void watch(const Observe& observe, const std::function<Tally()>& tally) {
  do std::this_thread::sleep_for(std::chrono::milliseconds(10));
  while (observe(tally()));
}

Tally tally_of(const Counters& counters) {
  return {.requests = counters.requests,
          .failed = counters.failed,
          .body_bytes = counters.body_bytes,
          .hooks = counters.hooks};
}

void run(const Load& load, const Observe& observe, Counters& counters, std::shared_ptr<Transport> transport,
         const Sink* sink = nullptr) {
  Client client(std::move(transport));
  counters.under_way = load.concurrency;
  for (std::size_t i = 0; i < load.concurrency; ++i) send_next(client, load, counters);
  watch(observe, [&] {
    Tally tally = tally_of(counters);
    if (sink != nullptr) tally.records_lost = sink->lost();
    return tally;
  });
  counters.stop = true;
  while (counters.under_way > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

template <class T>
T or_exit(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "client_bench: %s\n", result.error().message().c_str());
    std::exit(1);
  }
  return std::move(*result);
}

}  // namespace

void run_client(const Load& load, const Observe& observe) {
  Counters counters;
  run(load, observe, counters, make_transport(load, nullptr));
}

void run_client_hooks(const Load& load, const Observe& observe) {
  Counters counters;
  run(load, observe, counters, make_transport(load, counting_trace(counters)));
}

void run_client_record(const Load& load, const Observe& observe) {
  const std::shared_ptr<Sink> sink = or_exit(open_file_sink(load.record_to));
  auto recorder = std::make_shared<Recorder>();
  recorder->add_sink(sink);
  Counters counters;
  run(load, observe, counters, make_transport(load, recorder->trace()), sink.get());
}

void run_client_tap(const Load& load, const Observe& observe) {
  Counters counters;
  auto recorder = std::make_shared<Recorder>();
  auto transport = make_transport(load, recorder->trace());
  const auto tap = or_exit(Tap::open(transport, recorder));
  run(load, observe, counters, transport);
}

void run_client_blocking(const Load& load, const Observe& observe) {
  std::deque<Counters> counters(load.concurrency);  // each thread its own
  std::atomic<bool> stop = false;
  Client client(make_transport(load, nullptr));
  std::vector<std::thread> threads;
  threads.reserve(counters.size());
  for (Counters& own : counters) {
    threads.emplace_back([&] {
      while (!stop) count(client.send({.url = load.url}), own);
    });
  }
  watch(observe, [&] {
    Tally sum;
    for (const Counters& own : counters) {
      const Tally one = tally_of(own);
      sum.requests += one.requests;
      sum.failed += one.failed;
      sum.body_bytes += one.body_bytes;
    }
    return sum;
  });
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace conntrace::bench
