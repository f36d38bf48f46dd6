// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "http/http1_parser.h"
#include "http/http1_writer.h"
#include "transport/dial.h"
#include "transport/event_loop.h"
#include "transport/request_state.h"
#include "transport/resolver.h"
#include "transport/stream.h"

namespace conntrace::transport {

class Engine;

/// One connection, from the beginning of its dial to its close: what PoolCore numbers.
///
/// Dialling, then idle or carrying one request at a time. It decides nothing about its own life: it tells the engine,
/// which asks PoolCore.
///
/// Threading: the loop's. Lifetime: owned by the engine, which buries it only between turns.
class Connection final : public IoHandler, private DialObserver, private http::ResponseEvents {
 public:
  Connection(Engine& engine, ConnectionId id, std::shared_ptr<const Destination> target, RequestId dialled_by);
  ~Connection();

  void begin_dial();
  /// Ends a dial that is under way, as failed with this error.
  void abort_dial(Error error);
  void start_exchange(RequestState& request, MonoTime now);
  /// Lets the request go, whatever it is doing.
  void drop_exchange(const Error& error);
  /// The request's body source has more.
  void resume_upload();
  /// The application goes on, or pauses again.
  void resume_reading();
  /// What Engine::read_on_later() asks for.
  void read_on();
  /// The application wants no more of the body: the rest is read and thrown away if it is short, else given up.
  void abandon_body();
  /// Closes the socket and says so. Nothing but the destructor may follow.
  void close(CloseReason reason, std::optional<MonoTime> idle);
  /// Why an idle connection cannot be used again, by what its socket says now.
  /// It stays: the kernel says some of it once only.
  [[nodiscard]] std::optional<CloseReason> idle_verdict();

  void on_io(std::uint32_t epoll_events) override;

  [[nodiscard]] bool dialling() const { return !dial_ended_; }
  /// Its peer may have closed it before the request on it was sent: it has been in use, or idle, before (Go's
  /// markReused, which counts a dial that was pooled before its first request, too).
  [[nodiscard]] bool may_be_stale() const { return requests_ > 1 || idle_since != MonoTime{}; }
  [[nodiscard]] HookContext context() const;
  [[nodiscard]] LiveConnectionInfo live() const;
  [[nodiscard]] GotConnInfo got_conn(bool reused, bool was_idle, MonoTime idle) const;

  const ConnectionId id;
  const std::shared_ptr<const Destination> target;
  const RequestId dialled_by;
  Phase dial_phase = Phase::dns;  ///< where the dial is
  PhaseClock dial_phases;
  std::optional<Error> dial_error;
  int refused_socket = 0;  ///< errno, if the dial had no descriptor for one of its sockets
  MonoTime idle_since{};   ///< start of the turn in which it was last put into the pool

 private:
  [[nodiscard]] std::optional<CloseReason> look_at_idle();

  // connection_dial.cc
  void enter_dial(Phase phase);
  void connect(const std::vector<std::string>& addresses);
  void start_dial(DialPlan plan);
  void on_resolved(const Resolved& resolved, bool coalesced);
  void on_connect_start(const ConnectAttempt& attempt, MonoTime at) override;
  void on_connect_done(const ConnectAttempt& attempt) override;
  void on_proxy_start(MonoTime at) override;
  void on_proxy_done(int status, const std::string& error, MonoTime at) override;
  void on_tls_start(const TlsPeer& peer, MonoTime at) override;
  void on_tls_message(const TlsPeer& peer, const TlsMessage& message) override;
  void on_tls_done(const TlsPeer& peer, const TlsFacts& facts, const std::string& error, MonoTime at) override;
  void on_no_descriptor(int error_number) override;
  [[nodiscard]] std::optional<PortUse> port_use(const std::string& ip_port) override;
  void on_dialled(Stream stream, const ConnectAttempt& attempt) override;
  void on_dial_failed(Error error) override;
  void end_dial(std::optional<Error> error);
  [[nodiscard]] Result<void> ask_connect_header(Headers& header);
  void limit_dial(MonoTime timeout, const std::string& what, EventLoop::Timer& timer);
  void tell_dns_done(const Resolved& resolved, const std::string& error, bool coalesced);
  [[nodiscard]] RequestState* dialler() const;

  // connection_given.cc
  void ask_dial_function();
  [[nodiscard]] bool awaits_answer() const;
  void on_answer(Result<DialledSocket> result);
  /// Tells what came of asking.
  void end_asking(ConnectOutcome outcome, int error_number, std::string error);
  /// The dial ends without the function's answer, or without its use.
  void abandon_answer(const Error& error);

  // connection_send.cc
  void attach_source();
  /// The server granted what the request asked for: from now on the body source is sent as it comes.
  void begin_tunnel();
  /// The end of a chunked body; false: its trailers are not what was announced.
  bool make_last_chunk();
  /// The next piece of the body source into out_; false: none now, or the exchange failed.
  bool refill();
  void fail_source(Error error);
  void limit_phase(MonoTime limit, Phase phase, const char* what);
  void append_body();
  void write_more();
  void wait_for_continue();
  void send_body_now();
  /// Goes on with what waited for a 100, or for a tunnel.
  void send_what_reading_allowed();
  void on_written(MonoTime at);
  void on_write_error(int error_number);
  void tell_header_fields(MonoTime at);
  void tell_written(const std::string& error, MonoTime at = {});
  [[nodiscard]] bool unsent() const;

  // connection_receive.cc
  bool on_head(http::ResponseHead&& head) override;
  bool on_body(std::string_view piece) override;
  bool on_trailers(Headers&& trailers) override;
  bool on_interim(const http::ResponseHead& head);
  /// False: too much is left to be worth it.
  bool begin_drain();
  /// Arranges that a long pause of the application is told.
  void watch_pause();
  void read_more(bool peer_done);
  /// False: the exchange is over.
  bool take(std::string_view bytes);
  void take_end();
  void on_read_error(int error_number);
  void finish_exchange(bool nothing_left);
  void stop_exchange();
  void fail_exchange(Error error, CloseReason reason);
  void tell_body_done(const std::string& error, MonoTime now);
  /// What a failure of the first exchange should say of ALPN; empty: nothing.
  [[nodiscard]] std::string alpn_note(const char* before, const char* after = "") const;
  RequestState* release_request();
  [[nodiscard]] std::optional<CloseReason> why_unusable(bool nothing_left) const;

  /// What is known of the exchange under way.
  struct Exchange {
    http::WrittenHead head;
    std::size_t sent = 0;  ///< of head and body, framing included
    bool headers_told = false;
    bool request_told = false;
    http::Tunnel asked = http::Tunnel::none;
    bool tunnel = false;     ///< what was asked is granted
    bool body_held = false;  ///< waits for 100 (Continue)
    bool continue_wait_told = false;
    bool source_waits = false;               ///< it said `later`, and has not called since
    bool body_to_make = false;               ///< the body source has not come to its end
    std::optional<std::uint64_t> body_size;  ///< what it said; nothing: chunked
    std::uint64_t body_made = 0;
    bool continue_came = false;
    bool write_failed = false;
    bool got_byte = false;
    bool peer_done = false;  ///< its FIN, or worse, is behind what has been read
    bool body_too_large = false;
    std::error_code interim_error;
  };

  Engine& engine_;
  // dial
  MonoTime dial_start_{};
  std::unique_ptr<Dial> dial_;
  /// The application's dial function, asked for a socket.
  struct Asked {
    ConnectAttempt attempt;
    std::stop_source stop;
  };
  std::shared_ptr<Asked> asked_;  ///< until the dial ends; shared with nobody, but the answer may outlive it
  bool dial_ended_ = false;
  bool dns_told_ = false;
  std::shared_ptr<bool> awaits_lookup_;  ///< for lookups that outlive the dial
  EventLoop::Timer dial_timer_{};
  EventLoop::Timer tls_timer_{};  ///< of TLS, or of the proxy's part before it
  // life
  Stream stream_;
  std::uint64_t cookie_ = 0;
  std::uint64_t netns_;  ///< of the socket; 0: not known
  std::string local_;
  std::string remote_;
  MonoTime opened_{};
  std::uint64_t requests_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  int error_number_ = 0;
  bool close_inferred_ = false;
  bool alpn_unanswered_ = false;  ///< TLS, and the server chose no protocol
  std::optional<CloseReason> idle_verdict_;
  bool reads_on_later_ = false;  ///< Engine::read_on_later() was asked
  // exchange
  RequestState* request_ = nullptr;
  http::Http1Parser parser_;
  Exchange exchange_;
  std::string out_;         ///< the head, and the body if it is small, or a piece of what a source makes
  std::size_t out_at_ = 0;  ///< how much of it is sent
  std::string_view rest_;   ///< what is unsent of a large body; goes after out_
  std::uint64_t drain_left_ = 0;
  EventLoop::Timer wait_timer_{};  ///< ends the phase that the exchange is in
  EventLoop::Timer continue_timer_{};
  EventLoop::Timer pause_timer_{};
};

}  // namespace conntrace::transport
