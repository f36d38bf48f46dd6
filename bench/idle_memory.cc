// SPDX-License-Identifier: Apache-2.0
// What an idle connection costs in memory: our Client's and libcurl multi's, against a server of its own that answers
// when all requests are there, so that each has a connection.
//
//     build/bench/idle_memory --peer client --connections 10000
#include <malloc.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <deque>
#include <fstream>
#include <string_view>
#include <thread>
#include <vector>

#include "base/curl_handles.h"
#include "conntrace/client.h"
#include "conntrace/unique_fd.h"

namespace conntrace::bench {
namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// Answers when `connections` requests have come, then keeps all connections open until it is killed.
[[noreturn]] void serve(int listener, std::size_t connections) {
  constexpr std::string_view kResponse = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  std::vector<int> clients;
  while (clients.size() < connections) {
    const int client = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) fail("idle_memory: accept4");
    clients.push_back(client);
  }
  char request[4096];
  for (const int client : clients) {
    if (read(client, request, sizeof request) <= 0) fail("idle_memory: read");
  }
  for (const int client : clients) {
    if (write(client, kResponse.data(), kResponse.size()) < 0) fail("idle_memory: write");
  }
  for (;;) pause();
}

struct Server {
  std::string url;
  pid_t pid = 0;
};

Server start_server(std::size_t connections) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), generic, length) != 0 || listen(listener.get(), SOMAXCONN) != 0 ||
      getsockname(listener.get(), generic, &length) != 0)
    fail("idle_memory: listen");
  const pid_t pid = fork();
  if (pid < 0) fail("idle_memory: fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(listener.get(), connections);
  }
  return {.url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/", .pid = pid};
}

struct Memory {
  double resident = 0;  ///< bytes, after free memory was given back
  double allocated = 0;
};

Memory memory() {
  malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  double size = 0;
  double resident = 0;
  statm >> size >> resident;
  const struct mallinfo2 heap = mallinfo2();
  return {.resident = resident * static_cast<double>(sysconf(_SC_PAGESIZE)),
          .allocated = static_cast<double>(heap.uordblks + heap.hblkhd)};
}

struct Growth {
  Memory before, after;
};

Growth measure_client(const std::string& url, std::size_t connections) {
  auto transport = std::make_shared<Transport>(
      TransportOptions{.max_idle_conns = 0, .max_idle_conns_per_host = static_cast<int>(connections)});
  Client client(transport);
  std::atomic<std::size_t> done = 0;
  std::atomic<std::size_t> failed = 0;
  Growth growth{.before = memory(), .after = {}};
  for (std::size_t i = 0; i < connections; ++i) {
    client.send({.url = url}, [&](const Result<Response>& response) {
      failed += response ? 0 : 1;
      ++done;
    });
  }
  while (done < connections) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  if (failed != 0 || transport->pool_snapshot().idle != connections) {
    std::fprintf(stderr, "idle_memory: %zu failed, %zu idle\n", failed.load(), transport->pool_snapshot().idle);
    std::exit(1);
  }
  growth.after = memory();
  return growth;
}

std::size_t discard(char*, std::size_t size, std::size_t count, void*) { return size * count; }

Growth measure_libcurl(const std::string& url, std::size_t connections) {
  const CurlMulti multi{curl_multi_init()};
  curl_multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(connections));
  Growth growth{.before = memory(), .after = {}};
  {
    std::deque<CurlEasy> handles;
    for (std::size_t i = 0; i < connections; ++i) {
      CURL* easy = handles.emplace_back(curl_easy_init()).get();
      curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
      curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
      curl_easy_setopt(easy, CURLOPT_PROXY, "");
      curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
      curl_multi_add_handle(multi.get(), easy);
    }
    for (int running = 1; running > 0;) {
      curl_multi_perform(multi.get(), &running);
      curl_multi_poll(multi.get(), nullptr, 0, 100, nullptr);
    }
    // Only the connections stay.
    for (const CurlEasy& easy : handles) curl_multi_remove_handle(multi.get(), easy.get());
  }
  growth.after = memory();
  return growth;
}

int run(int argc, char** argv) {
  CLI::App app("Measures the memory of idle connections.");
  std::string peer;
  std::size_t connections = 10000;
  app.add_option("--peer", peer, "whose")->required()->check(CLI::IsMember({"client", "libcurl"}));
  app.add_option("--connections", connections, "how many")->check(CLI::Range(1, 25000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < connections + 100) {
    std::fprintf(stderr, "idle_memory: the descriptor limit is %ju: ask for fewer --connections\n",
                 std::uintmax_t{limit.rlim_max});
    return 1;
  }
  const Server server = start_server(connections);
  const Growth growth =
      peer == "client" ? measure_client(server.url, connections) : measure_libcurl(server.url, connections);
  kill(server.pid, SIGKILL);
  const auto per_connection = [&](double Memory::*what) {
    return (growth.after.*what - growth.before.*what) / static_cast<double>(connections);
  };
  std::printf("{\"peer\":\"%s\",\"connections\":%zu,\"resident_bytes_each\":%.0f,\"allocated_bytes_each\":%.0f}\n",
              peer.c_str(), connections, per_connection(&Memory::resident), per_connection(&Memory::allocated));
  return 0;
}

}  // namespace
}  // namespace conntrace::bench

int main(int argc, char** argv) { return conntrace::bench::run(argc, argv); }
