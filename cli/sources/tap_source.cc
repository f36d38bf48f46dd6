// SPDX-License-Identifier: Apache-2.0
#include "sources/tap_source.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "conntrace/tap.h"

namespace conntrace::cli {
namespace {

constexpr std::size_t kReadsAtOnce = 16;

}  // namespace

Result<std::unique_ptr<TapSource>> TapSource::connect(const Process& process, EventSink sink) {
  const std::string path =
      "/proc/" + std::to_string(process.pid) + "/root" + tap_path(static_cast<std::uint32_t>(process.own_pid));
  const auto failed = [&](int error_number) { return Failure(system_error(error_number, "tap " + path)); };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return failed(ENAMETOOLONG);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);

  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return failed(errno);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return failed(errno);
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return failed(errno);
  if (peer.pid != process.pid) return failed(EPERM);
  return std::unique_ptr<TapSource>(new TapSource(std::move(socket), process, std::move(sink)));
}

TapSource::TapSource(UniqueFd socket, Process process, EventSink sink)
    : socket_(std::move(socket)),
      process_(std::move(process)),
      sink_(std::move(sink)),
      reader_("tap of pid " + std::to_string(process_.pid)) {}

Result<TapSource::Progress> TapSource::read() {
  std::array<char, 64 * 1024> buffer;
  for (std::size_t i = 0; i < kReadsAtOnce; ++i) {
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Progress::drained;
    if (got <= 0) return finish();  // an error is the end too: the process died with bytes unread
    const auto fed =
        reader_.feed({buffer.data(), static_cast<std::size_t>(got)}, [this](Event&& e) { take(std::move(e)); });
    if (!fed) return Failure(fed.error());
  }
  return Progress::more;
}

Result<TapSource::Progress> TapSource::finish() {
  const auto finished = reader_.finish([this](Event&& event) { take(std::move(event)); });
  if (!finished) return Failure(finished.error());
  if (!ended_in_order_) {
    EventHeader header{.mono_ns = static_cast<std::uint64_t>(mono_now().count()), .source = Source::hook};
    header.pid = static_cast<std::uint32_t>(process_.pid);
    header.start_time_ns = process_.start_time_ns;
    // One at least: what the process had not yet written when it ended is not known.
    sink_(make_event<EventKind::gap>(header, {.lost = 1, .reason = GapReason::source_lost, .where = "tap"}));
  }
  return Progress::ended;
}

void TapSource::take(Event&& event) {
  // A process in a container says its own pid; everybody else says the one seen here.
  if (process_.own_pid != process_.pid && event.header.pid == static_cast<std::uint32_t>(process_.own_pid)) {
    event.header.pid = static_cast<std::uint32_t>(process_.pid);
  }
  if (get_if<EventKind::stream_end>(event) != nullptr) ended_in_order_ = true;
  sink_(event);
}

}  // namespace conntrace::cli
