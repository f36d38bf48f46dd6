// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "conntrace/event.h"

namespace conntrace::cli {

/// Where sources give their events. The event's views are valid until it returns.
using EventSink = std::function<void(const Event&)>;

}  // namespace conntrace::cli
