// SPDX-License-Identifier: Apache-2.0
// A connection while it is being made: name, sockets, proxy, TLS.
#include <fmt/format.h>
#include <openssl/x509_vfy.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "transport/connection.h"
#include "transport/engine.h"
#include "transport/socket_facts.h"

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
  limit_dial(engine_.options.dial_timeout, "dial " + target->hop, dial_timer_);
  if (engine_.options.dial) {
    ask_dial_function();
    return;
  }
  if (target->hop_is_address) {
    connect({});
    return;
  }
  enter_dial(Phase::dns);
  awaits_lookup_ = std::make_shared<bool>(true);
  engine_.fire<&ClientTrace::dns_start>(dialler(), this, [&] { return DnsStartInfo{.host = target->hop_host}; });
  engine_.resolver.lookup(target->hop_host,
                          [this, alive = std::weak_ptr(awaits_lookup_)](const Resolved& resolved, bool coalesced) {
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
  DialPlan plan{.addresses = addresses};
  if (dial_timer_ != EventLoop::Timer{}) plan.connect_limit = std::max(dial_timer_.first - mono_now(), MonoTime(1));
  start_dial(std::move(plan));
}

void Connection::start_dial(DialPlan plan) {
  plan.target = target;
  // libcurl must not resolve where the application has connected already (for the others: Dial::configure).
  if (plan.given && target->tunnelled() && !target->hop_is_address) plan.addresses = {"127.0.0.1"};
  plan.connect_header = engine_.options.proxy_connect_header;
  if (auto usable = ask_connect_header(plan.connect_header); !usable) {
    end_dial(std::move(usable).error());
    return;
  }
  dial_ = engine_.dialer.start(std::move(plan), *this);
}

Result<void> Connection::ask_connect_header(Headers& header) {
  if (!target->tunnelled()) return {};
  constexpr std::size_t kMaxSocksName = 255;  // RFC 1928 section 5
  if (target->proxy->is_socks() && target->host.size() > kMaxSocksName) {
    return Failure(make_error(Errc::invalid_request, "a host name of more than 255 bytes through SOCKS5"));
  }
  if (engine_.options.get_proxy_connect_header) {
    Result<Headers> given = Failure(make_error(Errc::invalid_request, "get_proxy_connect_header threw"));
    engine_.hooks.guard([&] { given = engine_.options.get_proxy_connect_header(*target->proxy, target->host_port); });
    if (!given) return Failure(std::move(given).error());
    header = *std::move(given);
  }
  return http::check_request({.method = "CONNECT", .headers = header});
}

void Connection::limit_dial(MonoTime timeout, const std::string& what, EventLoop::Timer& timer) {
  engine_.loop.cancel_timer(timer);
  timer = {};
  if (timeout.count() <= 0) return;
  timer = engine_.loop.set_timer(mono_now() + timeout, [this, what, &timer] {
    timer = {};
    abort_dial(make_error(Errc::timeout, what, dial_phase));
    engine_.drain();
  });
}

void Connection::abort_dial(Error error) {
  if (!dialling()) return;
  abandon_answer(error);
  if (dial_phase == Phase::dns && !dns_told_) tell_dns_done({}, error.message(), false);
  if (dial_ != nullptr) {
    const bool timed_out = error.code == Errc::timeout;
    dial_->abort(timed_out ? ConnectOutcome::timed_out : ConnectOutcome::abandoned, timed_out ? ETIMEDOUT : ECANCELED,
                 error.message());
    if (dial_phase == Phase::connect && timed_out) {
      error.context += dial_->attempts().empty() ? "" : " (" + dial_->attempts().described() + ")";
    }
  }
  end_dial(std::move(error));
}

void Connection::on_connect_start(const ConnectAttempt& attempt, MonoTime at) {
  // Each socket of a race has a cookie of its own; the connection takes over the winner's.
  cookie_ = attempt.cookie;
  engine_.fire<&ClientTrace::connect_start>(
      dialler(), this,
      [&] { return ConnectStartInfo{.network = attempt.network, .address = attempt.address, .fd = attempt.fd}; }, at);
}

void Connection::on_connect_done(const ConnectAttempt& attempt) {
  const bool connected = attempt.outcome == ConnectOutcome::connected;
  if (connected) {
    engine_.loop.cancel_timer(dial_timer_);
    dial_timer_ = {};
  }
  const std::uint64_t before = std::exchange(cookie_, attempt.cookie);
  engine_.fire<&ClientTrace::connect_done>(
      dialler(), this,
      [&] {
        ConnectDoneInfo info{.network = attempt.network,
                             .address = attempt.address,
                             .local = attempt.local,
                             .error_number = attempt.error_number,
                             .outcome = attempt.outcome};
        engine_.scratch_text = connected ? std::string() : attempt.what();
        info.error = engine_.scratch_text;
        if (attempt.ports) {
          info.local_ports = attempt.ports->local_ports;
          info.sockets_to_address = attempt.ports->sockets;
        }
        return info;
      },
      attempt.ended);
  if (!connected) cookie_ = before;  // a loser's end may come after the winner's
}

std::optional<PortUse> Connection::port_use(const std::string& ip_port) { return engine_.dialer.ports_to(ip_port); }

void Connection::on_proxy_start(MonoTime at) {
  enter_dial(Phase::proxy);
  engine_.loop.cancel_timer(std::exchange(dial_timer_, {}));
  limit_dial(engine_.options.proxy_connect_timeout,
             fmt::format("{} through {}", target->host_port, target->proxy->redacted()), tls_timer_);
  engine_.fire<&ClientTrace::proxy_connect_start>(
      dialler(), this,
      [&] {
        engine_.scratch_text = target->proxy->redacted();
        return ProxyConnectStartInfo{.proxy = engine_.scratch_text,
                                     .target = target->host_port,
                                     .proxy_kind = target->proxy->is_socks() ? ProxyKind::socks5 : ProxyKind::http};
      },
      at);
}

void Connection::on_proxy_done(int status, const std::string& error, MonoTime at) {
  engine_.fire<&ClientTrace::proxy_connect_done>(
      dialler(), this,
      [&] {
        engine_.scratch_text = target->proxy->redacted();
        return ProxyConnectDoneInfo{.proxy = engine_.scratch_text,
                                    .target = target->host_port,
                                    .proxy_kind = target->proxy->is_socks() ? ProxyKind::socks5 : ProxyKind::http,
                                    .status = status,
                                    .error = error};
      },
      at);
}

void Connection::on_tls_start(const TlsPeer& peer, MonoTime at) {
  enter_dial(Phase::tls);
  engine_.loop.cancel_timer(std::exchange(dial_timer_, {}));
  limit_dial(engine_.options.tls_handshake_timeout, "TLS handshake with " + peer.host_port, tls_timer_);
  engine_.fire<&ClientTrace::tls_handshake_start>(
      dialler(), this, [&] { return TlsHandshakeStartInfo{.server_name = peer.server_name, .proxy = peer.proxy}; }, at);
}

void Connection::on_tls_message(const TlsPeer& peer, const TlsMessage& message) {
  engine_.fire<&ClientTrace::tls_message>(dialler(), this, [&] {
    return TlsMessageInfo{.message = message.name,
                          .sent = message.sent,
                          .bytes = static_cast<std::uint32_t>(message.bytes),
                          .proxy = peer.proxy};
  });
}

void Connection::on_tls_done(const TlsPeer& peer, const TlsFacts& facts, const std::string& error, MonoTime at) {
  // Of two handshakes the last one counts. A proxy's says nothing about the target.
  alpn_unanswered_ = error.empty() && facts.alpn.empty() && !peer.proxy;
  CertificateFacts certificate;
  engine_.fire<&ClientTrace::tls_handshake_done>(
      dialler(), this,
      [&] {
        TlsHandshakeDoneInfo info{.version = facts.version,
                                  .cipher = facts.cipher,
                                  .alpn = facts.alpn,
                                  .resumed = facts.resumed,
                                  .error = error,
                                  .server_name = peer.server_name,
                                  .proxy = peer.proxy,
                                  .chain_length = facts.chain_length,
                                  .verify_code = facts.verify_code};
        if (facts.verify_code != 0) info.verify_error = X509_verify_cert_error_string(facts.verify_code);
        if (facts.certificate == nullptr) return info;
        certificate = certificate_facts(facts.certificate.get());
        engine_.scratch_texts.assign(certificate.names.begin(), certificate.names.end());
        info.subject = certificate.subject;
        info.issuer = certificate.issuer;
        info.subject_alt_names = engine_.scratch_texts;
        info.not_before = certificate.not_before;
        info.not_after = certificate.not_after;
        info.fingerprint_sha256 = certificate.fingerprint;
        return info;
      },
      at);
}

// Other sockets of the dial may still connect; the engine tells, when it knows what came of it.
void Connection::on_no_descriptor(int error_number) { refused_socket = error_number; }

void Connection::on_dialled(Stream stream, const ConnectAttempt& attempt) {
  stream_ = std::move(stream);
  cookie_ = attempt.cookie;
  local_ = attempt.local;
  remote_ = asked_ == nullptr ? attempt.address : remote_address(stream_.fd());
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
  awaits_lookup_.reset();
  dial_ended_ = true;
  dial_phases.enter(Phase::none, mono_now());
  const std::string message = error ? error->message() : std::string();
  std::vector<std::string> tried;
  engine_.fire<&ClientTrace::dial_done>(dialler(), this, [&] {
    DialDoneInfo info{.error = message,
                      .phase = error ? error->phase : Phase::none,
                      .duration_ns = static_cast<std::uint64_t>((mono_now() - dial_start_).count())};
    if (dial_ != nullptr) {
      info.attempts = dial_->attempts().count();
      info.attempts_failed = info.attempts - (dial_->attempts().winner() != nullptr ? 1 : 0);
      tried = dial_->attempts().each();
    } else if (asked_ != nullptr) {
      info.attempts = 1;
      info.attempts_failed = asked_->attempt.outcome == ConnectOutcome::connected ? 0 : 1;
      tried = {asked_->attempt.address + ": " + asked_->attempt.what()};
    }
    engine_.scratch_texts.assign(tried.begin(), tried.end());
    info.tried = engine_.scratch_texts;
    return info;
  });
  if (dial_ != nullptr) engine_.bury(std::move(dial_));  // it may be the one that calls
  asked_.reset();
  if (error) {
    dial_error = std::move(error);
    engine_.dial_failed(*this);
  } else {
    engine_.dialled(*this);
  }
}

}  // namespace conntrace::transport
