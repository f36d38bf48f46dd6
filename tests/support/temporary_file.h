// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "conntrace/unique_fd.h"

namespace conntrace::test {

/// A file with this text, which is removed again.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view text) {
    const UniqueFd fd(mkstemp(path_.data()));
    if (!fd.valid() || write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw std::runtime_error("temporary file");
    }
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/conntrace-test-XXXXXX";
};

}  // namespace conntrace::test
