// SPDX-License-Identifier: Apache-2.0
// One peer, one load, one line of JSON. bench/run starts it many times and compares.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <map>

#include "peer.h"

namespace conntrace::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

const std::map<std::string, Peer> kPeers = {{"client", run_client},
                                            {"client_hooks", run_client_hooks},
                                            {"client_record", run_client_record},
                                            {"client_tap", run_client_tap},
                                            {"client_blocking", run_client_blocking},
                                            {"libcurl_socket", run_libcurl_socket},
                                            {"libcurl_poll", run_libcurl_poll}};

/// User and system time of all threads.
double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// What was done between a warm-up and the end.
class Stopwatch {
 public:
  Stopwatch(Seconds warm_up, Seconds measure) : from_(Clock::now() + cast(warm_up)), to_(from_ + cast(measure)) {}

  bool observe(const Tally& now) {
    const auto time = Clock::now();
    if (!running_ && time >= from_) {
      running_ = true;
      start_ = time;
      cpu_ = cpu_seconds();
      before_ = now;
    }
    if (time < to_) return true;
    elapsed = Seconds(time - start_).count();
    cpu = cpu_seconds() - cpu_;
    requests = now.requests - before_.requests;
    total = now;
    return false;
  }

  double elapsed = 0;
  double cpu = 0;
  std::uint64_t requests = 0;
  Tally total;

 private:
  static Clock::duration cast(Seconds time) { return std::chrono::duration_cast<Clock::duration>(time); }

  Clock::time_point from_, to_, start_;
  bool running_ = false;
  double cpu_ = 0;
  Tally before_;
};

int run(int argc, char** argv) {
  CLI::App app("Measures one HTTP client against a server that runs already.");
  Load load;
  std::string name;
  double warm_up = 0.3;
  double measure = 2;
  app.add_option("--peer", name, "who sends")->required()->check(CLI::IsMember(kPeers));
  app.add_option("--url", load.url, "what it asks for")->required();
  app.add_option("--concurrency", load.concurrency, "requests under way at once")->check(CLI::Range(1, 10000));
  app.add_option("--warm-up", warm_up, "seconds before the measurement");
  app.add_option("--seconds", measure, "seconds of the measurement")->check(CLI::PositiveNumber);
  app.add_option("--record-to", load.record_to, "file for client_record");
  app.add_option("--ca-file", load.ca_file, "whom to trust, if the URL is https");
  CLI11_PARSE(app, argc, argv);

  Stopwatch watch{Seconds(warm_up), Seconds(measure)};
  kPeers.at(name)(load, [&](const Tally& tally) { return watch.observe(tally); });
  std::printf(
      "{\"peer\":\"%s\",\"concurrency\":%zu,\"requests\":%ju,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"failed\":%ju,"
      "\"body_bytes\":%ju,\"hooks\":%ju,\"total\":%ju,\"records_lost\":%ju}\n",
      name.c_str(), load.concurrency, std::uintmax_t{watch.requests}, watch.elapsed, watch.cpu,
      std::uintmax_t{watch.total.failed}, std::uintmax_t{watch.total.body_bytes}, std::uintmax_t{watch.total.hooks},
      std::uintmax_t{watch.total.requests}, std::uintmax_t{watch.total.records_lost});
  return watch.total.failed == 0 && watch.requests > 0 ? 0 : 1;
}

}  // namespace
}  // namespace conntrace::bench

int main(int argc, char** argv) { return conntrace::bench::run(argc, argv); }
