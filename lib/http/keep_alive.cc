// SPDX-License-Identifier: Apache-2.0
#include "http/keep_alive.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "http/syntax.h"

namespace conntrace::http {
namespace {

/// Longer than any connection lives, and far from an overflow in nanoseconds.
constexpr std::uint64_t kLongest = 10ull * 365 * 24 * 3600;

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
  const std::string_view name = trim(parameter.substr(0, equals));
  const auto value = number(trim(parameter.substr(equals + 1)));
  if (!value) return;
  if (iequals(name, "timeout")) {
    const std::chrono::seconds timeout(std::min(*value, kLongest));
    hints.timeout = std::min(hints.timeout.value_or(timeout), timeout);
  } else if (iequals(name, "max")) {
    hints.max = std::min(hints.max.value_or(*value), *value);
  }
}

}  // namespace

KeepAliveHints keep_alive_hints(const Headers& headers) {
  KeepAliveHints hints;
  for (const auto& [name, value] : headers) {
    if (!iequals(name, "keep-alive")) continue;
    split(value, ',', [&hints](std::string_view parameter) { take(parameter, hints); });
  }
  return hints;
}

}  // namespace conntrace::http
