// SPDX-License-Identifier: Apache-2.0
#include "commands/terminal.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace conntrace::cli {
namespace {

constexpr unsigned kDefaultWidth = 100;

unsigned width_of(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  if (const char* columns = std::getenv("COLUMNS")) {
    const long value = std::strtol(columns, nullptr, 10);
    if (value > 0 && value < 10'000) return static_cast<unsigned>(value);
  }
  return kDefaultWidth;
}

/// Precedence of setlocale(3). Without any of them (cron, containers) nothing says that it is not UTF-8.
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    return strcasestr(value, "utf-8") != nullptr || strcasestr(value, "utf8") != nullptr;
  }
  return true;
}

}  // namespace

void add_color_option(CLI::App& command, std::string& color) {
  command.add_option("--color", color, "auto (on a terminal, unless NO_COLOR is set), always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
}

TerminalOptions terminal_options(int fd, const std::string& color) {
  TerminalOptions options;
  const char* no_color = std::getenv("NO_COLOR");
  const bool wanted = no_color == nullptr || *no_color == '\0';
  options.color = color == "always" || (color == "auto" && wanted && ::isatty(fd) == 1);
  options.width = width_of(fd);
  options.utf8 = locale_is_utf8();
  return options;
}

}  // namespace conntrace::cli
