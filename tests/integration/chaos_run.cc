// SPDX-License-Identifier: Apache-2.0
#include "integration/chaos_run.h"

#include <algorithm>
#include <cstring>

#include "conntrace/body_source.h"

namespace conntrace::test {
namespace {

constexpr std::chrono::seconds kPatience(60);
constexpr std::uint64_t kCallbacksAtOnce = 48;
constexpr std::size_t kMaxComplaints = 20;

/// Makes its body in pieces of all sizes, often `later`, and breaks its promises if it is told to.
class ChaosSource : public BodySource {
 public:
  ChaosSource(const ChaosPlan& plan, Meddler& meddler)
      : meddler_(meddler),
        upload_(plan.upload),
        size_(plan.upload_size),
        rewindable_(plan.rewindable),
        random_(plan.errand.number) {}

  [[nodiscard]] std::optional<std::uint64_t> size() const override {
    if (upload_ == Upload::chunked_source) return std::nullopt;
    return upload_ == Upload::lying_source ? size_ + 1 : size_;
  }
  [[nodiscard]] Result<Piece> read(char* into, std::size_t room) override {
    const bool waits = !waited_ && random_.percent(40);
    waited_ = waits;
    if (waits) {
      meddler_.after(random_.micros_below(500), wake_);
      return Piece{.status = Status::later};
    }
    const bool fails = upload_ == Upload::failing_source;
    const std::size_t good = fails ? size_ / 2 : size_;
    if (fails && at_ == good) return Failure(make_error(Errc::body_source_failed, "on purpose"));
    if (at_ == size_) return Piece{.status = Status::end};
    const std::size_t bytes = std::min({room, good - at_, static_cast<std::size_t>(1 + random_.below(20'000))});
    std::memset(into, 'b', bytes);
    at_ += bytes;
    return Piece{.status = Status::data, .bytes = bytes};
  }
  [[nodiscard]] bool rewindable() const override { return rewindable_; }
  [[nodiscard]] bool rewind() override {
    at_ = 0;
    return rewindable_;
  }
  void on_attach(std::function<void()> wake) override { wake_ = std::move(wake); }
  void close() noexcept override { ++closes; }

  std::atomic<int> closes = 0;

 private:
  Meddler& meddler_;
  const Upload upload_;
  const std::size_t size_;
  const bool rewindable_;
  SplitMix random_;
  std::size_t at_ = 0;
  bool waited_ = false;
  std::function<void()> wake_;
};

/// By a limit; whether it may is complaint_about()'s to say.
bool is_refusal(const Result<Response>& result) {
  return !result && (result.error().code == Errc::queue_full || result.error().code == Errc::acquire_timeout);
}

}  // namespace

/// One request while it is under way.
struct ChaosSender::Errand {
  explicit Errand(const ChaosPlan& what) : plan(what), random(what.errand.number ^ 0x5eed) {}
  const ChaosPlan plan;
  SplitMix random;  ///< of the transport's thread, while the request runs
  std::stop_source stop;
  std::shared_ptr<ChaosSource> source;
  Request request;
  RequestId shown = 0;  ///< the request whose body is being read
  ChaosOutcome outcome{Failure(make_error(Errc::ok, "")), {}, true};
};

ChaosSender::ChaosSender(Client client, const std::shared_ptr<Transport>& transport, Meddler& meddler,
                         ChaosAllows allows)
    : client_(std::move(client)), transport_(transport), meddler_(meddler), allows_(allows) {}

std::shared_ptr<ChaosSender::Errand> ChaosSender::prepare(const ChaosPlan& plan) {
  {
    std::unique_lock lock(mutex_);
    ++under_way_;
  }
  auto errand = std::make_shared<Errand>(plan);
  Request& request = errand->request;
  request.method = plan.method;
  request.url = plan.url;
  request.timeout = plan.short_timeout.value_or(kPatience);
  if (plan.connection_close) request.headers.emplace_back("Connection", "close");
  if (plan.expects_continue) request.headers.emplace_back("Expect", "100-continue");
  if (plan.upload == Upload::text) {
    request.body.assign(plan.upload_size, 'b');
  } else if (plan.upload != Upload::none) {
    errand->source = std::make_shared<ChaosSource>(plan, meddler_);
    request.body_source = errand->source;
  }
  if (plan.cancel == Cancel::before || plan.cancel == Cancel::stop_token) request.stop = errand->stop.get_token();
  if (plan.cancel == Cancel::before) errand->stop.request_stop();
  if (plan.cancel == Cancel::stop_token) {
    meddler_.after(plan.cancel_after, [stop = errand->stop]() mutable { stop.request_stop(); });
  }
  if (plan.style == Style::open || plan.reading == Reading::all) return errand;
  // The request keeps these, so they must not keep the errand, which keeps the request.
  request.on_head = [raw = errand.get()](const Response& head) {
    raw->shown = head.request;
    raw->outcome.body_is_whole = raw->plan.reading != Reading::discard;
    return raw->plan.reading == Reading::discard ? HeadAction::discard : HeadAction::take;
  };
  request.on_body = [this, raw = errand.get()](std::string_view piece) {
    raw->outcome.body += piece;
    if (raw->plan.reading == Reading::stop && raw->random.percent(50)) {
      raw->outcome.body_is_whole = false;
      return BodyAction::stop;
    }
    if (raw->plan.reading != Reading::pause || !raw->random.percent(60)) return BodyAction::go_on;
    meddler_.after(raw->random.micros_below(3000), [transport = transport_, id = raw->shown] {
      if (const auto alive = transport.lock()) alive->resume(id);
    });
    return BodyAction::pause;
  };
  return errand;
}

void ChaosSender::start(const ChaosPlan& plan) {
  const auto errand = prepare(plan);
  const RequestId id =
      client_.send(errand->request, [this, errand](Result<Response> result) { finish(*errand, std::move(result)); });
  if (plan.cancel == Cancel::by_number) {
    meddler_.after(plan.cancel_after, [transport = transport_, id] {
      if (const auto alive = transport.lock()) alive->cancel(id);
    });
  }
}

void ChaosSender::send(const ChaosPlan& plan) {
  // Only send() with a callback tells the number to cancel by.
  if (plan.style == Style::callback || plan.cancel == Cancel::by_number) {
    start(plan);
    std::unique_lock lock(mutex_);
    fewer_.wait(lock, [this] { return under_way_ < kCallbacksAtOnce; });
    return;
  }
  const auto errand = prepare(plan);
  switch (plan.style) {
    case Style::future: finish(*errand, client_.send_async(errand->request).get()); break;
    case Style::open: open(*errand); break;
    default: finish(*errand, client_.send(errand->request)); break;
  }
}

void ChaosSender::open(Errand& errand) {
  auto opened = client_.open(errand.request);
  if (!opened) {
    finish(errand, Failure(std::move(opened).error()));
    return;
  }
  // The request may still run; what is random here must not be what is random there.
  SplitMix random(errand.plan.errand.number ^ 0x0be9);
  std::string buffer(1 + random.below(40'000), '\0');
  Result<Response> result = std::move(opened->head);
  for (;;) {
    if (errand.plan.reading != Reading::all && random.percent(30)) {
      errand.outcome.body_is_whole = false;
      break;
    }
    if (errand.plan.reading == Reading::pause) std::this_thread::sleep_for(random.micros_below(2000));
    const auto got = opened->body.read(buffer.data(), buffer.size());
    if (!got) {
      result = Failure(got.error());
      break;
    }
    if (*got == 0) break;
    errand.outcome.body.append(buffer, 0, *got);
  }
  if (random.percent(50)) opened->body.close();
  finish(errand, std::move(result));
}

void ChaosSender::finish(Errand& errand, Result<Response> result) {
  if (result && !result->body.empty()) errand.outcome.body = std::move(result->body);
  errand.outcome.result = std::move(result);
  std::string complaint = complaint_about(errand.plan, allows_, errand.outcome);
  // With open() the request may outlive its reader.
  if (errand.source != nullptr && errand.plan.style != Style::open && errand.source->closes != 1) {
    complaint = errand.plan.describe() + ": its body was closed " + std::to_string(errand.source->closes) + " times";
  }
  if (errand.outcome.result) ++succeeded_;
  if (is_refusal(errand.outcome.result)) ++refused_;
  ++ended_;
  const std::lock_guard lock(mutex_);
  --under_way_;
  fewer_.notify_all();
  if (complaint.empty()) return;
  ++broken_;
  if (complaints_.size() < kMaxComplaints) complaints_.push_back(std::move(complaint));
}

void ChaosSender::wait() {
  std::unique_lock lock(mutex_);
  fewer_.wait(lock, [this] { return under_way_ == 0; });
}

std::string ChaosSender::complaints() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const std::string& complaint : complaints_) text += complaint + "\n";
  if (broken_ > complaints_.size()) text += std::to_string(broken_) + " in all\n";
  return text;
}

}  // namespace conntrace::test
