// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <cstdio>
#include <string_view>
#include <utility>

namespace conntrace::cli {

/// One line for people, on stderr: data alone goes to stdout.
void say_line(std::string_view line);

template <class... Args>
void complain(fmt::format_string<Args...> format, Args&&... args) {
  say_line("conntrace: " + fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace conntrace::cli
