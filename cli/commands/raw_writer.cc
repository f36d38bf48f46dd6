// SPDX-License-Identifier: Apache-2.0
#include "commands/raw_writer.h"

#include "conntrace/event_json.h"
#include "say.h"

namespace conntrace::cli {

void RawWriter::write(const Event& event) {
  if (!event.known()) {
    ++unknown_;
    return;
  }
  if (const auto* gap = get_if<EventKind::gap>(event)) lost_ += gap->lost;
  line_.clear();
  append_json_line(event, line_);
  output_.write(line_);
  ++written_;
}

void RawWriter::account() const {
  if (!output_.usable()) return;  // how many of them arrived is not known
  complain(
      "{} event records written; {} lost before they got here; {} of kinds that this version does not know left out",
      written_, lost_, unknown_);
}

}  // namespace conntrace::cli
