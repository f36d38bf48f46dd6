// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server to try conntrace on; see origin_server.h for its paths.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "origin_server.h"

int main(int argc, char** argv) {
  using conntrace::example::OriginServer;
  conntrace::example::OriginOptions options;
  std::uint64_t idle_timeout_ms = 0;
  bool log = false;

  CLI::App app("A small HTTP/1.1 server: /hello /delay?ms=N /bytes?n=N /close /chunked /reset");
  app.add_option("--address", options.addresses, "IP addresses to listen on")->capture_default_str();
  app.add_option("--port", options.port, "0: a free one")->capture_default_str();
  app.add_option("--workers", options.workers, "threads that handle requests")->check(CLI::Range(1, 1024));
  app.add_option("--idle-timeout", idle_timeout_ms, "milliseconds after which an idle connection is closed; 0: never");
  app.add_option("--max-requests", options.max_requests_per_conn, "requests served on one connection; 0: no limit");
  app.add_flag("--log", log, "at the end, print one JSON line for each connection");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.idle_timeout = std::chrono::milliseconds(idle_timeout_ms);

  // Blocked before any thread starts, so that all threads inherit it and sigwait below gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto server = OriginServer::start(options);
  if (!server) {
    std::fprintf(stderr, "origin_server: %s\n", server.error().message().c_str());
    if (server.error().code == std::errc::address_in_use) {
      std::fprintf(stderr, "origin_server: another process listens there; --port 0 takes a free port\n");
    }
    return 1;
  }
  std::printf("port %u\n", unsigned{(*server)->port()});
  std::fflush(stdout);

  int caught = 0;
  sigwait(&signals, &caught);
  if (log) {
    for (const auto& connection : (*server)->connections()) {
      std::fputs(OriginServer::to_json_line(connection).c_str(), stdout);
    }
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
