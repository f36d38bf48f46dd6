// SPDX-License-Identifier: Apache-2.0
#include "record/line_file.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace conntrace {
namespace {

/// A pipe that poll calls writable takes this much without blocking (pipe(7)).
constexpr std::size_t kPipePiece = 4096;

}  // namespace

LineFile::LineFile(int fd) : fd_(fd) {
  struct stat info {};
  is_file_ = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

LineFile::Written LineFile::write(std::string_view lines, const std::function<bool()>& keep_waiting) {
  if (broken_ != 0) return {.error = broken_};
  std::size_t done = 0;
  int error = 0;
  while (done < lines.size() && error == 0) {
    std::string_view piece = lines.substr(done);
    if (!is_file_) {
      piece = piece.substr(0, kPipePiece);
      error = wait(keep_waiting);
      if (error != 0) break;
    }
    const ssize_t wrote = ::write(fd_, piece.data(), piece.size());
    if (wrote > 0)
      done += static_cast<std::size_t>(wrote);
    else if (wrote == 0)
      error = EIO;
    else if (errno != EINTR && errno != EAGAIN)
      error = errno;
  }
  if (error == 0) return {.whole_lines = done};

  const std::size_t newline = lines.substr(0, done).rfind('\n');
  const std::size_t whole = newline == std::string_view::npos ? 0 : newline + 1;
  if (whole < done && !take_back(done - whole)) broken_ = error;
  return {.whole_lines = whole, .error = error};
}

int LineFile::wait(const std::function<bool()>& keep_waiting) const {
  pollfd waited{.fd = fd_, .events = POLLOUT, .revents = 0};
  while (poll(&waited, 1, 50) <= 0) {
    if (!keep_waiting()) return ETIMEDOUT;
  }
  return 0;
}

bool LineFile::take_back(std::size_t bytes) const {
  if (!is_file_) return false;
  // Only what this descriptor wrote last, so only if nobody wrote behind it.
  const off_t position = lseek(fd_, 0, SEEK_CUR);
  struct stat info {};
  if (position < 0 || fstat(fd_, &info) != 0 || info.st_size != position) return false;
  const off_t whole = position - static_cast<off_t>(bytes);
  return whole >= 0 && ftruncate(fd_, whole) == 0 && lseek(fd_, whole, SEEK_SET) == whole;
}

}  // namespace conntrace
