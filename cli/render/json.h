// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "timeline/model.h"

namespace conntrace::cli {

/// The timeline as one line of JSON with its newline, keys in the order of the model. A line stays under 8 KiB: lists
/// are cut, then strings shortened, and "truncated":true says so. Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string to_json_line(const RequestTimeline& timeline);
[[nodiscard]] std::string to_json_line(const ConnectionTimeline& timeline);
[[nodiscard]] std::string to_json_line(const ProcessTimeline& timeline);

}  // namespace conntrace::cli
