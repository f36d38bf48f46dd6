// SPDX-License-Identifier: Apache-2.0
// A connection while it is being made: name, sockets, TLS.
#include <fmt/format.h>
#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

#include "transport/connection.h"
#include "transport/engine.h"

namespace conntrace::transport {

RequestState* Connection::dialler() const { return engine_.find_request(dialled_by); }

void Connection::enter_dial(Phase phase) {
  dial_phase = phase;
  dial_phases.enter(phase, mono_now());
}

void Connection::begin_dial() {
  dial_start_ = mono_now();
  dial_phases.start(dial_start_);
  if (auto shortage = engine_.descriptor_shortage()) {
    enter_dial(Phase::connect);
    end_dial(std::move(shortage));
    return;
  }
  limit_dial(engine_.options.dial_timeout, "dial", dial_timer_);
  if (target->hop_is_address) {
    connect({});
    return;
  }
  enter_dial(Phase::dns);
  engine_.fire<&ClientTrace::dns_start>(dialler(), this, [&] { return DnsStartInfo{.host = target->hop_host}; });
  engine_.resolver.lookup(target->hop_host,
                          [this, alive = std::weak_ptr(alive_)](const Resolved& resolved, bool coalesced) {
                            if (alive.expired()) return;
                            on_resolved(resolved, coalesced);
                            engine_.drain();
                          });
}

void Connection::on_resolved(const Resolved& resolved, bool coalesced) {
  if (!dialling()) return;
  const std::string message = resolved.error ? resolved.error->message() : std::string();
  tell_dns_done(resolved, message, coalesced);
  if (resolved.error) {
    end_dial(resolved.error);
    return;
  }
  connect(resolved.addresses);
}

void Connection::tell_dns_done(const Resolved& resolved, const std::string& error, bool coalesced) {
  dns_told_ = true;
  engine_.fire<&ClientTrace::dns_done>(dialler(), this, [&] {
    engine_.scratch_texts.assign(resolved.addresses.begin(), resolved.addresses.end());
    return DnsDoneInfo{.host = target->hop_host,
                       .addresses = engine_.scratch_texts,
                       .error = error,
                       .coalesced = coalesced,
                       .resolver_tid = resolved.tid,
                       .resolver_start_ns = static_cast<std::uint64_t>(resolved.start.count()),
                       .resolver_end_ns = static_cast<std::uint64_t>(resolved.end.count())};
  });
}

void Connection::connect(const std::vector<std::string>& addresses) {
  enter_dial(Phase::connect);
  dial_ = engine_.dialer.start({.scheme = target->scheme,
                                .host = target->host,
                                .host_port = target->host_port,
                                .port = target->port,
                                .addresses = addresses,
                                .verify_peer = engine_.options.tls.verify,
                                .ca_file = engine_.options.tls.ca_file},
                               *this);
}

void Connection::limit_dial(MonoTime timeout, const char* what, EventLoop::Timer& timer) {
  if (timeout.count() <= 0) return;
  timer = engine_.loop.set_timer(mono_now() + timeout, [this, what, &timer] {
    timer = {};
    abort_dial(make_error(Errc::timeout, fmt::format("{} {}", what, target->host_port), dial_phase));
    engine_.drain();
  });
}

void Connection::abort_dial(Error error) {
  if (!dialling()) return;
  if (dial_phase == Phase::dns && !dns_told_) tell_dns_done({}, error.message(), false);
  dial_.reset();
  end_dial(std::move(error));
}

void Connection::on_connect_start(const ConnectAttempt& attempt, MonoTime at) {
  // Each socket of a race has a cookie of its own; the connection takes over the winner's.
  cookie_ = attempt.cookie;
  engine_.fire<&ClientTrace::connect_start>(
      dialler(), this,
      [&] {
        return ConnectStartInfo{
            .network = attempt.ipv6 ? "tcp6" : "tcp4", .address = attempt.address, .fd = attempt.fd};
      },
      at);
}

void Connection::on_connect_done(const ConnectAttempt& attempt, bool connected, int error_number, MonoTime at) {
  cookie_ = attempt.cookie;
  const std::string error = connected           ? std::string()
                            : error_number != 0 ? std::strerror(error_number)
                                                : std::string("failed; libcurl does not say why");
  engine_.fire<&ClientTrace::connect_done>(
      dialler(), this,
      [&] {
        return ConnectDoneInfo{.network = attempt.ipv6 ? "tcp6" : "tcp4",
                               .address = attempt.address,
                               .local = attempt.local,
                               .error = error,
                               .error_number = connected ? 0 : error_number};
      },
      at);
}

void Connection::on_tls_start(MonoTime at) {
  enter_dial(Phase::tls);
  limit_dial(engine_.options.tls_handshake_timeout, "TLS handshake with", tls_timer_);
  engine_.fire<&ClientTrace::tls_handshake_start>(
      dialler(), this,
      [&] { return TlsHandshakeStartInfo{.server_name = target->is_address ? Text() : Text(target->host)}; }, at);
}

void Connection::on_tls_done(const TlsFacts& facts, const std::string& error, MonoTime at) {
  engine_.fire<&ClientTrace::tls_handshake_done>(
      dialler(), this,
      [&] {
        return TlsHandshakeDoneInfo{.version = facts.version,
                                    .cipher = facts.cipher,
                                    .alpn = facts.alpn,
                                    .resumed = facts.resumed,
                                    .error = error};
      },
      at);
}

// Other sockets of the dial may still connect; the engine tells, when it knows what came of it.
void Connection::on_no_descriptor(int error_number) { refused_socket = error_number; }

void Connection::on_dialled(Stream stream, const ConnectAttempt& attempt) {
  stream_ = std::move(stream);
  cookie_ = attempt.cookie;
  local_ = attempt.local;
  remote_ = attempt.address;
  opened_ = mono_now();
  if (!engine_.loop.add(stream_.fd(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, this)) {
    const int error_number = errno;
    stream_.close();
    end_dial(system_error(error_number, "epoll", Phase::connect));
  } else {
    end_dial(std::nullopt);
  }
}

void Connection::on_dial_failed(Error error) { end_dial(std::move(error)); }

void Connection::end_dial(std::optional<Error> error) {
  engine_.loop.cancel_timer(dial_timer_);
  engine_.loop.cancel_timer(tls_timer_);
  dial_timer_ = tls_timer_ = {};
  dial_ended_ = true;
  dial_phases.enter(Phase::none, mono_now());
  engine_.bury(std::move(dial_));  // it may be the one that calls
  const std::string message = error ? error->message() : std::string();
  engine_.fire<&ClientTrace::dial_done>(dialler(), this, [&] {
    return DialDoneInfo{.error = message,
                        .phase = error ? error->phase : Phase::none,
                        .duration_ns = static_cast<std::uint64_t>((mono_now() - dial_start_).count())};
  });
  if (error) {
    dial_error = std::move(error);
    engine_.dial_failed(*this);
  } else {
    engine_.dialled(*this);
  }
}

}  // namespace conntrace::transport
