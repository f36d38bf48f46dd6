// SPDX-License-Identifier: Apache-2.0
#include "commands/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "exit_status.h"
#include "say.h"

namespace conntrace::cli {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;

bool is_stdio(const std::string& path) { return path.empty() || path == "-"; }

}  // namespace

Result<Output> Output::open(const std::string& path) {
  if (is_stdio(path)) return Output(UniqueFd(), STDOUT_FILENO, "stdout");
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) return Failure(system_error(errno, "cannot write " + path));
  const int number = fd.get();
  return Output(std::move(fd), number, path);
}

void Output::write(std::string_view lines) {
  buffer_ += lines;
  if (buffer_.size() >= kBuffer) flush();
}

bool Output::flush() {
  std::string_view left = buffer_;
  while (usable() && !left.empty()) {
    const ssize_t written = ::write(fd_, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {  // somebody made our stdout non-blocking
      pollfd writable{fd_, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      const std::string_view done = std::string_view(buffer_).substr(0, buffer_.size() - left.size());
      whole_ += done.rfind('\n') + 1;
      fail(errno);
    }
  }
  if (usable()) whole_ += buffer_.size();
  buffer_.clear();
  return usable();
}

void Output::fail(int error_number) {
  if (error_number == EPIPE) {
    reader_gone_ = true;
    return;
  }
  error_ = system_error(error_number, "cannot write " + name_);
  struct stat status {};
  if (!is_stdout() && ::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode)) {
    [[maybe_unused]] const int cut = ::ftruncate(fd_, static_cast<off_t>(whole_));
  }
}

int Output::finish(int otherwise) {
  flush();
  // Some file systems tell a full disk only now.
  if (usable() && owned_.valid() && ::close(owned_.release()) != 0) fail(errno);
  if (!error_) return otherwise;
  complain("{}; what was written before it is whole", error_->message());
  return kFailed;
}

bool is_same_file(const std::string& path, const std::string& input) {
  if (is_stdio(path) || is_stdio(input)) return false;
  struct stat a {};
  struct stat b {};
  return ::stat(path.c_str(), &a) == 0 && ::stat(input.c_str(), &b) == 0 && S_ISREG(a.st_mode) &&
         a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace conntrace::cli
