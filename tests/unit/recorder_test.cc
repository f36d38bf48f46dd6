// SPDX-License-Identifier: Apache-2.0
#include "conntrace/recorder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "conntrace/clock.h"
#include "tests/support/stream_check.h"

namespace conntrace {
namespace {

/// Keeps the lines; takes at most `room` records.
class MemorySink final : public Sink {
 public:
  explicit MemorySink(std::uint64_t room = ~std::uint64_t{0}) : room_(room) {}

  void write(std::string_view lines, std::uint64_t records) override {
    const std::lock_guard lock(mutex_);
    if (room_ < records) {
      lost_ += records;
      return;
    }
    room_ -= records;
    lines_ += lines;
  }
  Result<void> flush() override {
    ++flushes;
    return {};
  }
  std::uint64_t lost() const override { return lost_; }
  void end(std::string_view line) override {
    const std::lock_guard lock(mutex_);
    lines_ += line;
  }

  std::string lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  std::vector<Event> events() { return testing::read_records(lines()); }

  std::atomic<int> flushes = 0;

 private:
  std::mutex mutex_;
  std::string lines_;
  std::uint64_t room_;
  std::atomic<std::uint64_t> lost_ = 0;
};

HookContext at(int ns, RequestId request = 0, ConnectionId connection = 0) {
  return {.mono = MonoTime(ns), .request = request, .attempt = request == 0 ? 0u : 1u, .connection = connection};
}

TEST(Recorder, WritesEachHookAsItsRecord) {
  auto sink = std::make_shared<MemorySink>();
  Recorder recorder;
  recorder.add_sink(sink);
  const auto trace = recorder.trace();
  const std::size_t start = sink->lines().size();

  trace->request_start(at(10, 1), {.method = "GET", .url = "http://api/v1?q=*", .host = "api:80"});
  trace->get_conn(at(11, 1), {.host_port = "api:80"});
  trace->why_new(at(12, 1, 2), {.reason = WhyNew::no_idle, .host_port = "api:80"});
  HookContext connected = at(13, 1, 2);
  connected.cookie = 77;
  connected.netns = 4026531840;
  trace->connect_start(connected, {.network = "tcp4", .address = "10.0.0.7:80", .fd = 9});
  EXPECT_FALSE(trace->wrote_header_field) << "headers are not recorded";
  EXPECT_FALSE(trace->got_1xx_response(at(15, 1, 2), {.code = 103}));
  trace->request_done(at(16, 1), {.status = 200, .duration_ns = 6});
  recorder.remove_sink(sink);

  const std::vector<Event> events = sink->events();
  EXPECT_NE(events.front().header.start_time_ns, 0u);
  const std::string process = "\"source\":\"hook\",\"pid\":" + std::to_string(getpid()) +
                              ",\"start_time_ns\":" + std::to_string(events.front().header.start_time_ns) + ",";
  const std::string expected =
      R"({"kind":"request_start","mono_ns":10,)" + process +
      R"("request":1,"attempt":1,"method":"GET","url":"http://api/v1?q=*","host":"api:80"})" + "\n" +
      R"({"kind":"get_conn","mono_ns":11,)" + process + R"("request":1,"attempt":1,"host_port":"api:80"})" + "\n" +
      R"({"kind":"why_new","mono_ns":12,)" + process +
      R"("request":1,"attempt":1,"connection":2,"reason":"no_idle","host_port":"api:80"})" + "\n" +
      R"({"kind":"connect_start","mono_ns":13,)" + process +
      R"("request":1,"attempt":1,"connection":2,"cookie":77,"netns":4026531840,"network":"tcp4",)" +
      R"("address":"10.0.0.7:80","fd":9})" + "\n" + R"({"kind":"got_1xx_response","mono_ns":15,)" + process +
      R"("request":1,"attempt":1,"connection":2,"code":103})" + "\n" + R"({"kind":"request_done","mono_ns":16,)" +
      process + R"("request":1,"attempt":1,"status":200,"error_phase":"none","duration_ns":6,"body_bytes":0})" + "\n";
  EXPECT_EQ(sink->lines().substr(start, expected.size()), expected);
  testing::expect_whole_stream(events);
}

TEST(Recorder, AStreamSaysWhoseItIs) {
  auto sink = std::make_shared<MemorySink>();
  const MonoTime before = mono_now();
  Recorder recorder;
  recorder.add_sink(sink);
  const Event event = sink->events().at(0);
  const auto* const info = get_if<EventKind::stream_start>(event);
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(info->schema, "conntrace.event/1");
  EXPECT_GE(event.header.mono_ns, static_cast<std::uint64_t>(before.count()));
  EXPECT_EQ(event.header.pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_NE(event.header.netns, 0u);
  EXPECT_EQ(info->wall_time.size(), std::string_view("2026-01-02T03:04:05.123456789Z").size());
  EXPECT_EQ(info->wall_time.back(), 'Z');

  std::string expected;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), expected);
  EXPECT_EQ(info->boot_id, expected);
  std::getline(std::ifstream("/proc/self/comm"), expected);
  EXPECT_EQ(info->comm, expected);
  EXPECT_TRUE(info->exe.ends_with("recorder_test")) << info->exe;
  EXPECT_TRUE(info->program.starts_with("libconntrace "));
}

TEST(Recorder, ASinkGetsRecordsOnlyWhileItIsThere) {
  auto always = std::make_shared<MemorySink>();
  auto sometimes = std::make_shared<MemorySink>();
  Recorder recorder;
  const auto trace = recorder.trace();
  trace->get_conn(at(1), {});
  recorder.add_sink(always);
  recorder.add_sink(always);
  trace->get_conn(at(2), {});
  recorder.add_sink(sometimes);
  trace->get_conn(at(3), {});
  recorder.remove_sink(sometimes);
  recorder.remove_sink(sometimes);
  trace->get_conn(at(4), {});
  recorder.remove_sink(always);
  trace->get_conn(at(5), {});
  const auto moments = [](const std::vector<Event>& events) {
    std::vector<std::uint64_t> result;
    for (const Event& event : events) {
      if (event.kind() == EventKind::get_conn) result.push_back(event.header.mono_ns);
    }
    return result;
  };
  EXPECT_EQ(moments(always->events()), (std::vector<std::uint64_t>{2, 3, 4}));
  EXPECT_EQ(moments(sometimes->events()), (std::vector<std::uint64_t>{3}));
  EXPECT_EQ(testing::expect_whole_stream(always->events()).records, 5u);
  EXPECT_EQ(testing::expect_whole_stream(sometimes->events()).records, 3u);
}

TEST(Recorder, ATraceToOneSinkReachesNoOtherAndOneStartIsWritten) {
  auto all = std::make_shared<MemorySink>();
  auto one = std::make_shared<MemorySink>();
  Recorder recorder;
  recorder.add_sink(all);
  const auto snapshot = recorder.trace_to(one);
  snapshot->live_connection(at(1), {.idle = true});
  recorder.trace()->get_conn(at(2), {});
  recorder.add_sink(one);
  recorder.trace()->get_conn(at(3), {});
  recorder.remove_sink(one);
  snapshot->live_connection(at(4), {.idle = true});
  recorder.remove_sink(all);
  const std::vector<Event> events = one->events();
  EXPECT_EQ(testing::expect_whole_stream(events).records, 4u);
  EXPECT_EQ(events[1].kind(), EventKind::live_connection);
  EXPECT_EQ(events[2].header.mono_ns, 3u);
  EXPECT_EQ(testing::expect_whole_stream(all->events()).records, 4u);
}

TEST(Recorder, TheEndTellsTheLoss) {
  auto sink = std::make_shared<MemorySink>(3);
  Recorder recorder;
  recorder.add_sink(sink);
  for (int i = 0; i < 10; ++i) recorder.trace()->get_conn(at(i + 1), {});
  recorder.remove_sink(sink);
  const std::vector<Event> events = sink->events();
  ASSERT_EQ(events.size(), 4u);
  const auto* const end = get_if<EventKind::stream_end>(events.back());
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(end->records, 4u);
  EXPECT_EQ(end->lost, 8u);
}

TEST(Recorder, ItsTraceKeepsItAliveAndTheLastOneEndsTheStream) {
  auto sink = std::make_shared<MemorySink>();
  ClientTrace composed;
  {
    Recorder recorder;
    recorder.add_sink(sink);
    composed = compose(*recorder.trace(), {});
  }
  composed.get_conn(at(1), {});
  EXPECT_EQ(sink->events().size(), 2u);
  composed = {};
  EXPECT_EQ(testing::expect_whole_stream(sink->events()).records, 3u);
  EXPECT_GT(sink->flushes, 0);
}

TEST(Recorder, SinksComeAndGoWhileRecordsAreMade) {
  Recorder recorder;
  const auto trace = recorder.trace();
  std::atomic<bool> stop = false;
  std::thread transport([&] {
    for (int i = 1; !stop; ++i) trace->get_conn(at(i, 1), {.host_port = "api:80"});
  });
  std::vector<std::thread> users;
  for (int user = 0; user < 3; ++user) {
    users.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        auto sink = std::make_shared<MemorySink>();
        const auto snapshot = recorder.trace_to(sink);
        snapshot->pool_snapshot(at(1), {});
        recorder.add_sink(sink);
        std::this_thread::yield();
        recorder.remove_sink(sink);
        const std::string before = sink->lines();
        testing::expect_whole_stream(testing::read_records(before));
        EXPECT_EQ(sink->lines().size(), before.size()) << "no record reaches it afterwards";
      }
    });
  }
  for (std::thread& user : users) user.join();
  stop = true;
  transport.join();
}

}  // namespace
}  // namespace conntrace
