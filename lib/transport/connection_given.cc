// SPDX-License-Identifier: Apache-2.0
// A connection whose socket the application's dial function makes.
#include <cerrno>
#include <utility>

#include "transport/connection.h"
#include "transport/engine.h"
#include "transport/socket_facts.h"

namespace conntrace::transport {

void Connection::ask_dial_function() {
  asked_ = std::make_shared<Asked>();
  asked_->attempt.network = "dial";
  asked_->attempt.address = target->hop;
  enter_dial(Phase::connect);
  on_connect_start(asked_->attempt, mono_now());
  DialCompletion done = one_answer(engine_.gate, [this, asked = std::weak_ptr(asked_)](Result<DialledSocket> result) {
    if (asked.expired()) return;
    on_answer(std::move(result));
    engine_.drain();
  });
  const DialRequest request{.connection = id,
                            .host = target->hop_host,
                            .port = target->hop_port,
                            .tls = target->hop_is_tls(),
                            .deadline = dial_timer_ != EventLoop::Timer{} ? dial_timer_.first : MonoTime::max(),
                            .stop = asked_->stop.get_token()};
  bool returned = false;
  engine_.hooks.guard([&] {
    engine_.options.dial(request, done);
    returned = true;
  });
  if (!returned) done(Failure(make_error(Errc::dial_function_failed, "it threw")));
}

bool Connection::awaits_answer() const { return dialling() && asked_ != nullptr && !asked_->attempt.done; }

void Connection::end_asking(ConnectOutcome outcome, int error_number, std::string error) {
  ConnectAttempt& attempt = asked_->attempt;
  attempt.done = true;
  attempt.ended = mono_now();
  attempt.outcome = outcome;
  attempt.error_number = error_number;
  attempt.error = std::move(error);
  on_connect_done(attempt);
}

void Connection::on_answer(Result<DialledSocket> result) {
  if (!awaits_answer()) return;
  Result<void> usable;
  if (result) usable = adopt_socket(result->fd.get());
  if (!result || !usable) {
    Error error = result ? std::move(usable).error() : std::move(result).error();
    const bool has_errno = error.code.category() == std::system_category();
    end_asking(ConnectOutcome::failed, has_errno ? error.code.value() : 0, error.message());
    error.phase = Phase::connect;
    end_dial(std::move(error).within("dial function for " + target->hop));
    return;
  }
  netns_ = is_of_netns(result->fd.get(), engine_.netns_cookie) ? engine_.netns : 0;
  GivenSocket given{.fd = std::move(result->fd), .attempt = {}, .tls_done = result->tls_done};
  asked_->attempt.fd = given.fd.get();
  asked_->attempt.cookie = socket_cookie(given.fd.get());
  asked_->attempt.local = local_address(given.fd.get());
  end_asking(ConnectOutcome::connected, 0, {});
  given.attempt = asked_->attempt;
  if (!target->tunnelled() && (given.tls_done || !target->hop_is_tls())) {
    on_dialled(Stream(given.fd.release()), asked_->attempt);
  } else {
    // Before its first write no limit of TLS's or of a proxy's is in force.
    limit_dial(engine_.options.dial_timeout, "the first write on the socket given for " + target->hop, dial_timer_);
    start_dial({.given = std::move(given)});
  }
}

void Connection::abandon_answer(const Error& error) {
  if (asked_ == nullptr) return;
  asked_->stop.request_stop();
  if (!awaits_answer()) return;
  const bool timed_out = error.code == Errc::timeout;
  end_asking(timed_out ? ConnectOutcome::timed_out : ConnectOutcome::abandoned, timed_out ? ETIMEDOUT : ECANCELED, {});
}

}  // namespace conntrace::transport
