// SPDX-License-Identifier: Apache-2.0
#include "say.h"

#include <unistd.h>

#include <cerrno>
#include <string>

namespace conntrace::cli {

void say_line(std::string_view line) {
  std::string text(line);
  text += '\n';
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;  // there is nowhere left to say it
    left.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace conntrace::cli
