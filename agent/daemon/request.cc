// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/request.h"

#include <fmt/format.h>

#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>

namespace conntrace::agent {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxPids = 1024;  // each takes a fraction of a millisecond, of everybody's time

Failure refuse(std::string why) { return Failure(system_error(EINVAL, "request: " + std::move(why))); }

Result<bool> flag(const Json& request, const char* name, bool otherwise) {
  const auto found = request.find(name);
  if (found == request.end()) return otherwise;
  if (!found->is_boolean()) return refuse(fmt::format("{} is not true or false", name));
  return found->get<bool>();
}

Result<std::vector<pid_t>> pids_of(const Json& request) {
  std::vector<pid_t> pids;
  const auto found = request.find("pids");
  if (found == request.end()) return pids;
  if (!found->is_array()) return refuse("pids is not a list");
  for (const Json& entry : *found) {
    if (!entry.is_number_integer()) return refuse("pids has something that is not a number");
    const auto pid = entry.get<std::int64_t>();
    if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) return refuse(fmt::format("{} is not a pid", pid));
    pids.push_back(static_cast<pid_t>(pid));
  }
  if (pids.size() > kMaxPids) return refuse(fmt::format("more than {} pids; use all", kMaxPids));
  return pids;
}

}  // namespace

Result<ClientRequest> parse_request(std::string_view line) {
  const Json request = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!request.is_object()) return refuse("it is not a JSON object");
  // By reference: a copy of something that is nested deeply would need as deep a stack.
  const auto is = [&request](const char* name, std::string_view value) {
    const auto found = request.find(name);
    return found != request.end() && found->is_string() && found->get_ref<const std::string&>() == value;
  };
  if (!is("schema", kAgentSchema)) return refuse(fmt::format("its schema is not {}", kAgentSchema));
  ClientRequest result;
  if (is("request", "status")) {
    result.what = ClientRequest::What::status;
    return result;
  }
  if (!is("request", "watch")) return refuse("it is neither watch nor status");
  auto pids = pids_of(request);
  if (!pids) return Failure(std::move(pids).error());
  auto all = flag(request, "all", false);
  if (!all) return Failure(std::move(all).error());
  auto follow = flag(request, "follow_children", true);
  if (!follow) return Failure(std::move(follow).error());
  if (pids->empty() && !*all) return refuse("nothing to watch: give pids, or all");
  result.selection = {.pids = std::move(*pids), .all = *all, .follow_children = *follow};
  return result;
}

}  // namespace conntrace::agent
