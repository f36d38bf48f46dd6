// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/status.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "agent/daemon/request.h"

namespace conntrace::agent {
namespace {

using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) {
  // Names of processes and paths may be anything but UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace

std::string to_line(const DaemonStatus& status) {
  Json json = {{"schema", kAgentSchema},
               {"program", "conntrace-agent " CONNTRACE_VERSION},
               {"pid", getpid()},
               {"since_mono_ns", status.since.count()},
               {"observing", status.observing},
               {"ring_bytes", status.ring_bytes},
               {"clients", Json::array()}};
  for (const DaemonStatus::OfClient& client : status.clients) {
    json["clients"].push_back({{"user", client.user},
                               {"all", client.all},
                               {"processes", client.processes},
                               {"records", client.records},
                               {"lost", client.lost}});
  }
  json["processes"] = status.processes;
  json["delivered"] = status.observer.delivered;
  json["losses"] = Json::array();
  for (const LossCounter& loss : status.observer.losses) {
    json["losses"].push_back({{"where", loss.where}, {"reason", to_string(loss.reason)}, {"count", loss.count}});
  }
  json["missing"] = Json::array();
  for (const HookProbe& hook : status.missing) {
    json["missing"].push_back({{"name", hook.name}, {"gives", hook.gives}, {"error", hook.error}});
  }
  json["programs"] = Json::array();
  for (const ProgramCost& cost : status.programs) {
    json["programs"].push_back({{"name", cost.name}, {"runs", cost.runs}, {"run_time_ns", cost.run_time.count()}});
  }
  return line_of(json);
}

std::string refusal_line(const Error& why) {
  return line_of({{"schema", kAgentSchema},
                  {"error", why.message()},
                  {"errno", why.code.category() == std::system_category() ? Json(why.code.value()) : Json()}});
}

}  // namespace conntrace::agent
