// SPDX-License-Identifier: Apache-2.0
#include "conntrace/event_json.h"

#include "record/event_line.h"

namespace conntrace {

void append_json_line(const Event& event, std::string& out) {
  LineBuffer buffer;
  switch (event.kind()) {
#define CONNTRACE_ROW(name, payload, origin, meaning)                                           \
  case EventKind::name:                                                                         \
    out += format_line<EventKind::name>(event.header, *get_if<EventKind::name>(event), buffer); \
    break;
    CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
  }
}

}  // namespace conntrace
