// SPDX-License-Identifier: Apache-2.0
// An application that can be watched: a pooled client with a recorder and a tap.
//
//     ./checkout --url http://127.0.0.1:8080/hello --rate 50 &
//     conntrace watch --pid $!
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "conntrace/client.h"
#include "conntrace/recorder.h"
#include "conntrace/tap.h"

namespace {

std::atomic<bool> stopping = false;

struct Options {
  std::vector<std::string> urls;
  double rate = 10;
  std::size_t max_conns_per_host = 0;
  double idle_conn_timeout = 90;
  std::uint64_t count = 0;
  std::string record;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Sends requests at a steady rate until SIGTERM; conntrace watch --pid shows them");
  app.add_option("--url", options.urls, "where to; several take turns")->required();
  app.add_option("--rate", options.rate, "requests a second")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--count", options.count, "stop after this many; 0: never")->capture_default_str();
  app.add_option("--max-conns-per-host", options.max_conns_per_host, "0: no limit")->capture_default_str();
  app.add_option("--idle-conn-timeout", options.idle_conn_timeout, "seconds")->capture_default_str();
  app.add_option("--record", options.record, "also write event records to this file");
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGTERM, [](int) { stopping = true; });
  std::signal(SIGINT, [](int) { stopping = true; });

  // 1. A recorder turns hooks into event records; without a reader they cost a branch.
  auto recorder = std::make_shared<conntrace::Recorder>();
  if (!options.record.empty()) {
    auto file = conntrace::open_file_sink(options.record);
    if (!file) {
      std::fprintf(stderr, "%s\n", file.error().message().c_str());
      return 1;
    }
    recorder->add_sink(*file);
  }

  // What a callback touches outlives the transport, whose destructor calls the last of them.
  std::atomic<std::uint64_t> done = 0;
  std::atomic<std::uint64_t> failed = 0;

  // 2. A transport is the pool and its thread; its trace hears of every request and connection.
  conntrace::TransportOptions pool;
  pool.max_conns_per_host = options.max_conns_per_host;
  pool.idle_conn_timeout =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(options.idle_conn_timeout));
  pool.trace = recorder->trace();
  auto transport = std::make_shared<conntrace::Transport>(pool);

  // 3. A tap lets conntrace join at any time. Without it the application works all the same.
  auto tap = conntrace::Tap::open(transport, recorder);
  if (!tap) std::fprintf(stderr, "cannot be watched: %s\n", tap.error().message().c_str());

  conntrace::Client client(transport, {.timeout = std::chrono::seconds(10)});
  std::printf("pid %d\n", getpid());
  std::fflush(stdout);
  const auto interval = std::chrono::duration<double>(1 / options.rate);
  std::uint64_t sent = 0;
  for (; !stopping && (options.count == 0 || sent < options.count); ++sent) {
    client.send(conntrace::Request{.url = options.urls[sent % options.urls.size()]},
                [&](const conntrace::Result<conntrace::Response>& result) {
                  failed += result ? 0 : 1;
                  ++done;
                });
    std::this_thread::sleep_for(interval);
  }
  // The transport's destructor would cancel what is under way: let it end first.
  while (!stopping && done < sent) std::this_thread::sleep_for(interval);
  return failed == 0 ? 0 : 1;
}
