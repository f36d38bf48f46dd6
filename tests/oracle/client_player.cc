// SPDX-License-Identifier: Apache-2.0
#include "oracle/client_player.h"

#include <set>

namespace conntrace::test {
namespace {

std::string done_line(const Result<Response>& result, const HookRecorder& hooks) {
  if (result) return "done " + std::to_string(result->status) + " ok \"" + result->body + "\"";
  // Of a response that ended too early Go's caller had the status before.
  const auto heads = hooks.all<EventKind::response_head>();
  if (heads.empty()) return "done " + error_class(result.error());
  return "done " + std::to_string(heads.back().status) + " " + error_class(result.error());
}

}  // namespace

ClientPlayer::ClientPlayer(TransportOptions options) {
  options.trace = hooks_.trace();
  transport_ = std::make_shared<Transport>(std::move(options));
  client_.emplace(transport_, ClientOptions{.disable_compression = true});
}

ClientPlayer::~ClientPlayer() {
  client_.reset();
  transport_.reset();  // before what its hooks write to
}

void ClientPlayer::start(int number, const Request& request) {
  Sent& sent = *sent_.emplace(number, std::make_unique<Sent>()).first->second;
  Request traced = request;
  traced.trace = sent.hooks.trace();
  traced.stop = sent.stop.get_token();
  client_->send(std::move(traced), [&sent](const Result<Response>& result) {
    const std::lock_guard lock(sent.mutex);
    sent.events_until_done = sent.hooks.events().size();
    sent.done = done_line(result, sent.hooks);
  });
}

void ClientPlayer::cancel(int number) { sent_.at(number)->stop.request_stop(); }

Look ClientPlayer::look() {
  const PoolSnapshot pool = transport_->pool_snapshot();
  return {.waiting = static_cast<int>(pool.waiting),
          .dialling = static_cast<int>(pool.dialling),
          .open = static_cast<int>(pool.idle + pool.active)};
}

ConnectionNumbers ClientPlayer::connection_numbers() const {
  ConnectionNumbers numbers;
  for (const Event& event : hooks_.events()) {
    if (event.kind() != EventKind::got_conn) continue;
    numbers.emplace(event.header.connection, static_cast<int>(numbers.size()) + 1);
  }
  return numbers;
}

std::vector<std::string> ClientPlayer::lines(int number) {
  std::vector<Event> events;
  std::optional<std::string> done;
  std::size_t until_done = 0;
  if (number == 0) {
    events = hooks_.events();
    std::erase_if(events, [](const Event& event) { return event.header.request != 0; });
  } else if (const auto found = sent_.find(number); found != sent_.end()) {
    const std::lock_guard lock(found->second->mutex);
    events = found->second->hooks.events();
    done = found->second->done;
    until_done = found->second->events_until_done;
  }
  const ConnectionNumbers numbers = connection_numbers();
  std::vector<std::string> told;
  for (std::size_t i = 0; i < events.size(); ++i) {
    // A request's trace is told before the transport's, which numbers the connections.
    if (events[i].kind() == EventKind::got_conn && !numbers.contains(events[i].header.connection)) break;
    if (done && i == until_done) told.push_back(*done);
    if (auto line = go_line(events[i], numbers)) told.push_back(std::move(*line));
  }
  if (done && until_done == events.size()) told.push_back(*done);
  return told;
}

std::string ClientPlayer::end() {
  client_.reset();
  transport_.reset();
  std::string broken = hooks_.broken_rule();
  // A request's own trace and the transport's are told the same of it.
  for (const auto& [number, sent] : sent_) {
    std::set<RequestId> ids;
    for (const Event& event : sent->hooks.events()) ids.insert(event.header.request);
    for (const RequestId id : ids) {
      if (sent->hooks.sequence(id) == hooks_.sequence(id)) continue;
      broken += "\nrequest " + std::to_string(number) + " was told: " + sent->hooks.sequence(id) +
                "\n  the transport: " + hooks_.sequence(id);
    }
  }
  return broken;
}

}  // namespace conntrace::test
