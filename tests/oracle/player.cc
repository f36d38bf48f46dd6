// SPDX-License-Identifier: Apache-2.0
#include "oracle/player.h"

#include <stdexcept>

#include "support/deadline.h"

namespace conntrace::test {

std::string Player::await(int number, std::string_view line) {
  std::string rest;
  const auto told = [&] {
    for (const std::string& each : lines(number)) {
      if (!each.starts_with(line)) continue;
      rest = each.substr(line.size());
      return true;
    }
    return false;
  };
  if (!within_deadline(told)) fail("request " + std::to_string(number) + ": " + std::string(line));
  return rest;
}

std::string Player::get(int number, const std::string& url) {
  start(number, Request{.url = url});
  return await_done(number);
}

bool Player::within_deadline(const std::function<bool()>& condition) { return testing::eventually(condition); }

void Player::fail(const std::string& what) { throw std::runtime_error("did not come: " + what); }

}  // namespace conntrace::test
