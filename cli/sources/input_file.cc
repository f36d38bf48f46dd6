// SPDX-License-Identifier: Apache-2.0
#include "sources/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace conntrace::cli {
namespace {

constexpr std::size_t kPiece = 64 * 1024;

}  // namespace

Result<InputFile> InputFile::open(const std::string& path) {
  if (path == "-") return InputFile(UniqueFd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)), "stdin");
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return Failure(system_error(errno, "cannot read " + path));
  if (S_ISDIR(status.st_mode)) return Failure(system_error(EISDIR, "cannot read " + path));
  return InputFile(std::move(fd), path);
}

/// Appends one piece to the buffer.
Result<std::size_t> InputFile::fill() {
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kPiece);
  ssize_t got = 0;
  do {
    got = ::read(fd_.get(), buffer_.data() + before, kPiece);
  } while (got < 0 && errno == EINTR);
  buffer_.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
  if (got < 0) return Failure(system_error(errno, "cannot read " + name_));
  at_end_ = got == 0;
  return static_cast<std::size_t>(got);
}

Result<std::string_view> InputFile::first_line() {
  looked_ = true;
  while (!at_end_ && buffer_.size() < kPiece && buffer_.find('\n') == std::string::npos) {
    if (auto filled = fill(); !filled) return Failure(std::move(filled.error()));
  }
  return std::string_view(buffer_).substr(0, buffer_.find('\n'));
}

Result<std::string_view> InputFile::read() {
  if (std::exchange(looked_, false) && !buffer_.empty()) return buffer_;
  buffer_.clear();
  if (at_end_) return std::string_view();
  if (auto filled = fill(); !filled) return Failure(std::move(filled.error()));
  return buffer_;
}

const Event* EventFile::peek() {
  const auto keep = [this](Event&& event) { events_.push_back(std::move(event)); };
  while (events_.empty() && !finished_) {
    auto piece = input_.read();
    Result<void> done = piece ? piece->empty() ? reader_.finish(keep) : reader_.feed(*piece, keep)
                              : Result<void>(Failure(std::move(piece.error())));
    finished_ = !done || !piece || piece->empty();
    if (!done) error_ = std::move(done.error());
  }
  return events_.empty() ? nullptr : &events_.front();
}

void merge_events(std::vector<EventFile>& files, const std::function<bool(const Event&)>& take) {
  for (;;) {
    EventFile* next = nullptr;
    for (EventFile& file : files) {
      if (file.peek() == nullptr) continue;
      if (next == nullptr || file.peek()->header.mono_ns < next->peek()->header.mono_ns) next = &file;
    }
    if (next == nullptr) return;
    const bool go_on = take(*next->peek());
    next->pop();
    if (!go_on) return;
  }
}

}  // namespace conntrace::cli
