// SPDX-License-Identifier: Apache-2.0
#include "origin_server.h"

#include <thread>

#include "origin_front.h"

namespace conntrace::example {

class OriginServer::Impl {
 public:
  Impl(std::unique_ptr<OriginFront> front) : front_(std::move(front)), thread_([this] { front_->run(); }) {}
  ~Impl() {
    front_->stop();
    thread_.join();
  }
  OriginFront& front() { return *front_; }

 private:
  std::unique_ptr<OriginFront> front_;
  std::thread thread_;
};

OriginServer::OriginServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OriginServer::~OriginServer() = default;

Result<std::unique_ptr<OriginServer>> OriginServer::start(OriginOptions options) {
  auto front = OriginFront::open(std::move(options));
  if (!front) return Failure(std::move(front.error()));
  return std::unique_ptr<OriginServer>(new OriginServer(std::make_unique<Impl>(std::move(*front))));
}

std::uint16_t OriginServer::port() const { return impl_->front().port(); }
std::vector<OriginConnection> OriginServer::connections() const { return impl_->front().connections(); }

std::string OriginServer::to_json_line(const OriginConnection& connection) {
  static constexpr const char* kEndedBy[] = {"nobody_yet", "server", "client", "unknown"};
  return "{\"cookie\":" + std::to_string(connection.cookie) + ",\"peer_port\":" + std::to_string(connection.peer_port) +
         ",\"local_port\":" + std::to_string(connection.local_port) +
         ",\"accepted_mono_ns\":" + std::to_string(connection.accepted_mono_ns) +
         ",\"ended_mono_ns\":" + std::to_string(connection.ended_mono_ns) +
         ",\"requests\":" + std::to_string(connection.requests) + ",\"ended_by\":\"" +
         kEndedBy[static_cast<int>(connection.ended_by)] + "\",\"reset\":" + (connection.reset ? "true" : "false") +
         ",\"came_late\":" + (connection.came_late ? "true" : "false") + "}\n";
}

}  // namespace conntrace::example
