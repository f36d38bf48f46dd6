// SPDX-License-Identifier: Apache-2.0
#include "conntrace/tap.h"

#include <unistd.h>

#include <utility>

#include "record/tap_server.h"

namespace conntrace {

class Tap::Impl {
 public:
  explicit Impl(std::unique_ptr<TapServer> server) : server_(std::move(server)) {}
  [[nodiscard]] const std::string& path() const { return server_->path(); }

 private:
  std::unique_ptr<TapServer> server_;
};

Result<std::unique_ptr<Tap>> Tap::open(std::shared_ptr<Transport> transport, std::shared_ptr<Recorder> recorder,
                                       TapOptions options) {
  if (options.path.empty()) options.path = tap_path(static_cast<std::uint32_t>(getpid()));
  TapServer::Callbacks callbacks;
  callbacks.joined = [transport = std::move(transport), recorder](const std::shared_ptr<TapReader>& reader) {
    // The snapshot and what follows it are written by the transport's thread, so that they neither overlap nor miss.
    transport->publish_snapshot(recorder->trace_to(reader), true, [recorder, reader] {
      recorder->add_sink(reader);
      if (reader->retired()) recorder->remove_sink(reader);
    });
  };
  callbacks.left = [recorder = std::move(recorder)](const std::shared_ptr<TapReader>& reader) {
    recorder->remove_sink(reader);
  };
  auto server = TapServer::open(options, std::move(callbacks));
  if (!server) return Failure(std::move(server.error()).within("tap"));
  return std::unique_ptr<Tap>(new Tap(std::make_unique<Impl>(std::move(*server))));
}

Tap::Tap(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tap::~Tap() = default;
const std::string& Tap::path() const { return impl_->path(); }

std::string tap_path(std::uint32_t pid) { return "/tmp/.conntrace." + std::to_string(pid) + ".sock"; }

}  // namespace conntrace
