// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>

#include "conntrace/error.h"
#include "conntrace/event.h"
#include "conntrace/ids.h"

namespace conntrace::test {

/// Connections under the numbers of a scenario: in the order in which requests got them.
using ConnectionNumbers = std::map<ConnectionId, int>;

/// A hook's call as oracle.go words it. Nothing: Go has no such hook.
[[nodiscard]] std::optional<std::string> go_line(const Event& event, const ConnectionNumbers& numbers);

/// An error's class, in the words of oracle.go; one that has none is shown as it is.
[[nodiscard]] std::string error_class(const Error& error);

}  // namespace conntrace::test
