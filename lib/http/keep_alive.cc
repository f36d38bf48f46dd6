// SPDX-License-Identifier: Apache-2.0
#include "http/keep_alive.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace conntrace::http {
namespace {

/// Longer than any connection lives, and far from an overflow in nanoseconds.
constexpr std::uint64_t kLongest = 10ull * 365 * 24 * 3600;

bool is_named(std::string_view text, std::string_view name) {
  return text.size() == name.size() && strncasecmp(text.data(), name.data(), name.size()) == 0;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> number(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return ~std::uint64_t{0};
  return error == std::errc{} ? std::optional(value) : std::nullopt;
}

void take(std::string_view parameter, KeepAliveHints& hints) {
  const std::size_t equals = parameter.find('=');
  if (equals == std::string_view::npos) return;
  const std::string_view name = trimmed(parameter.substr(0, equals));
  const auto value = number(trimmed(parameter.substr(equals + 1)));
  if (!value) return;
  if (is_named(name, "timeout")) {
    const std::chrono::seconds timeout(std::min(*value, kLongest));
    hints.timeout = std::min(hints.timeout.value_or(timeout), timeout);
  } else if (is_named(name, "max")) {
    hints.max = std::min(hints.max.value_or(*value), *value);
  }
}

}  // namespace

KeepAliveHints keep_alive_hints(const Headers& headers) {
  KeepAliveHints hints;
  for (const auto& [name, value] : headers) {
    if (!is_named(name, "keep-alive")) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      take(rest.substr(0, comma), hints);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return hints;
}

}  // namespace conntrace::http
