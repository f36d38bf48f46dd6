// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace conntrace::test {

/// Puts this process into a network of its own, with loopback up, and a mount namespace
/// in which each first file shows what is in the second. False, with errno: there is no right to (root, or unprivileged
/// user namespaces).
///
/// Threading: before any thread is made.
[[nodiscard]] bool enter_namespaces(const std::vector<std::pair<std::string, std::string>>& files);

}  // namespace conntrace::test
