// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "render/waterfall.h"

namespace CLI {
class App;
}

namespace conntrace::cli {

/// Adds --color to a command that prints for people.
void add_color_option(CLI::App& command, std::string& color);

/// How to print to a descriptor. `color` is auto, always or never; auto is colour on a terminal, unless NO_COLOR is
/// set (https://no-color.org). Width is the terminal's, or COLUMNS, or 100; UTF-8 as the locale says.
[[nodiscard]] TerminalOptions terminal_options(int fd, const std::string& color);

}  // namespace conntrace::cli
