// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "conntrace/clock.h"
#include "conntrace/sink.h"
#include "conntrace/unique_fd.h"
#include "record/event_line.h"
#include "record/line_file.h"
#include "record/line_queue.h"
#include "record/process_identity.h"
#include "record/quiet_thread.h"

namespace conntrace {
namespace {

/// Lines wait this long for company, unless there are kManyBytes of them: one system call writes many.
constexpr std::chrono::milliseconds kLinger(20);
constexpr std::size_t kManyBytes = 64 * 1024;

class FileSink final : public Sink {
 public:
  FileSink(int fd, UniqueFd owned, std::string name, FileSinkOptions options)
      : owned_(std::move(owned)),
        name_(std::move(name)),
        options_(options),
        file_(fd),
        queue_(options.buffer_bytes),
        writer_(start_quiet_thread("conntrace-sink", [this] { run(); })) {}

  ~FileSink() override {
    {
      const std::lock_guard lock(mutex_);
      give_up_ = std::chrono::steady_clock::now() + options_.patience;
      stopping_ = true;
    }
    ready_.notify_one();
    writer_.join();
  }

  void write(std::string_view lines, std::uint64_t records) override {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      const std::size_t before = queue_.waiting();
      queue_.push(lines, records);
      wake = before == 0 || (before < kManyBytes && queue_.waiting() >= kManyBytes);
    }
    if (wake) ready_.notify_one();
  }

  Result<void> flush() override {
    std::unique_lock lock(mutex_);
    const std::uint64_t mine = ++flushes_wanted_;
    ready_.notify_one();
    const bool done = flushed_.wait_for(lock, options_.patience, [&] { return flushes_done_ >= mine; });
    if (refused_ != 0) return Failure(system_error(refused_, "write " + name_));
    if (!done) return Failure(make_error(Errc::timeout, "write " + name_));
    return {};
  }

  std::uint64_t lost() const override {
    const std::lock_guard lock(mutex_);
    return queue_.lost() + refused_records_;
  }

 private:
  void run() {
    LineQueue::Batch batch;
    std::unique_lock lock(mutex_);
    for (;;) {
      ready_.wait(lock, [this] { return hurried() || queue_.pending(); });
      if (!hurried()) {
        ready_.wait_for(lock, kLinger, [this] { return hurried() || queue_.waiting() >= kManyBytes; });
      }
      const std::uint64_t flushes = flushes_wanted_;
      // What a flush waits for is in the first batch, and its losses are told with the second.
      for (int batches = flushes > flushes_done_ ? 2 : 1; batches > 0 && queue_.pending(); --batches) {
        queue_.take(batch);
        lock.unlock();
        const Refused refused = write_out(batch);
        lock.lock();
        queue_.done();
        refused_records_ += refused.records;
        if (refused_ == 0) refused_ = refused.error;
      }
      flushes_done_ = flushes;
      flushed_.notify_all();
      if (stopping_ && !queue_.pending()) return;
    }
  }

  [[nodiscard]] bool hurried() const { return stopping_ || flushes_wanted_ > flushes_done_; }

  struct Refused {
    std::uint64_t records = 0;
    int error = 0;
  };

  /// The batch, after gap records for what was lost before it.
  Refused write_out(const LineQueue::Batch& batch) {
    std::string gaps;
    if (untold_ > 0) append_gap(gaps, untold_, GapReason::write_failed);
    if (batch.lost_before > 0) append_gap(gaps, batch.lost_before, GapReason::slow_reader);
    const auto keep_waiting = [this] {
      const std::lock_guard lock(mutex_);
      return !stopping_ || std::chrono::steady_clock::now() < give_up_;
    };
    if (!gaps.empty()) {
      // All or nothing, so that no loss is told twice.
      if (const LineFile::Written told = file_.write(gaps, keep_waiting); told.whole_lines < gaps.size()) {
        if (told.whole_lines == 0)
          untold_ += batch.lost_before;
        else
          untold_ = batch.lost_before;
        untold_ += batch.records;
        return {batch.records, told.error};
      }
      untold_ = 0;
    }
    const LineFile::Written written = file_.write(batch.lines, keep_waiting);
    if (written.error == 0) return {};
    const auto refused = static_cast<std::uint64_t>(
        std::count(batch.lines.begin() + static_cast<std::ptrdiff_t>(written.whole_lines), batch.lines.end(), '\n'));
    untold_ += refused;
    return {refused, written.error};
  }

  void append_gap(std::string& out, std::uint64_t lost, GapReason reason) const {
    LineBuffer buffer;
    const auto now = static_cast<std::uint64_t>(mono_now().count());
    out += format_line<EventKind::gap>(process_.header(now), {.lost = lost, .reason = reason, .where = "file sink"},
                                       buffer);
  }

  const UniqueFd owned_;
  const std::string name_;
  const FileSinkOptions options_;
  const ProcessIdentity process_ = read_process_identity();

  // The writer's own.
  LineFile file_;
  std::uint64_t untold_ = 0;  ///< records that the file refused and no gap record has told of

  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::condition_variable flushed_;
  LineQueue queue_;
  std::uint64_t refused_records_ = 0;
  int refused_ = 0;  ///< errno of the first refusal
  std::uint64_t flushes_wanted_ = 0;
  std::uint64_t flushes_done_ = 0;
  std::chrono::steady_clock::time_point give_up_;
  bool stopping_ = false;

  std::thread writer_;  // last: it uses all the others
};

}  // namespace

Result<std::shared_ptr<Sink>> open_file_sink(const std::string& path, FileSinkOptions options) {
  UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) return Failure(system_error(errno, "open " + path));
  const int fd = file.get();
  return std::make_shared<FileSink>(fd, std::move(file), path, options);
}

std::shared_ptr<Sink> make_descriptor_sink(int fd, FileSinkOptions options) {
  return std::make_shared<FileSink>(fd, UniqueFd(), "descriptor " + std::to_string(fd), options);
}

}  // namespace conntrace
