// SPDX-License-Identifier: Apache-2.0
#include "http/line_reader.h"

namespace conntrace::http {

LineReader::Status LineReader::next(std::string_view& bytes, std::size_t max_bytes, std::string_view& line) {
  if (given_) reset();
  const std::size_t end = bytes.find('\n');
  const bool ends = end != std::string_view::npos;
  const std::string_view taken = ends ? bytes.substr(0, end + 1) : bytes;
  if (held_.size() + taken.size() > max_bytes) return Status::too_long;
  bytes.remove_prefix(taken.size());
  if (!ends) {
    held_ += taken;
    return Status::need_more;
  }
  line = taken;
  if (!held_.empty()) {
    held_ += taken;
    given_ = true;
    line = held_;
  }
  if (line.size() < 2 || line[line.size() - 2] != '\r') return Status::bare_lf;
  line.remove_suffix(2);
  return Status::line;
}

}  // namespace conntrace::http
