// SPDX-License-Identifier: Apache-2.0
#include "integration/chaos_plan.h"

namespace conntrace::test {
namespace {

std::size_t random_size(SplitMix& random) {
  const std::uint64_t kind = random.below(100);
  if (kind < 80) return random.below(500);
  if (kind < 96) return random.below(20'000);
  return random.below(300'000);
}

Act random_act(SplitMix& random) {
  // One in three is as it should be, so that connections get old enough to be reused.
  if (random.percent(35)) return random.percent(50) ? Act::sized : Act::chunked;
  return static_cast<Act>(random.below(kActs));
}

Door random_door(SplitMix& random, const ChaosWorld& world) {
  if (!random.percent(6)) return Door::server;
  static constexpr Door kQuick[] = {Door::refused, Door::fin, Door::reset, Door::no_name};
  if (!world.uses_doors || random.percent(70)) return kQuick[random.below(std::size(kQuick))];
  static constexpr Door kSlow[] = {Door::mute, Door::deaf, Door::tls_to_plain, Door::plain_to_tls};
  return kSlow[random.below(std::size(kSlow))];
}

std::string url_of(const ChaosPlan& plan, SplitMix& random, const ChaosWorld& world) {
  const std::string path = path_of(plan.errand);
  const auto at = [&](const char* scheme, const std::string& host, std::uint16_t port) {
    return std::string(scheme) + "://" + host + ":" + std::to_string(port) + path;
  };
  const std::string local = "127.0.0.1";
  const HostileDoors& doors = world.doors;
  switch (plan.door) {
    case Door::server: break;
    case Door::refused: return at("http", local, doors.refused());
    case Door::fin: return at(random.percent(50) ? "http" : "https", local, doors.fin());
    case Door::reset: return at(random.percent(50) ? "http" : "https", local, doors.reset());
    case Door::mute: return at(random.percent(50) ? "http" : "https", local, doors.mute());
    case Door::deaf: return at("http", local, doors.deaf());
    // A label may have 63 bytes (RFC 1035 section 2.3.4): the resolver says no without asking anybody.
    case Door::no_name: return at("http", std::string(64, 'x') + ".invalid", world.plain.port());
    case Door::tls_to_plain: return at("https", local, doors.plain());
    case Door::plain_to_tls: return at("http", local, world.tls != nullptr ? world.tls->port() : doors.fin());
  }
  if (world.tls != nullptr) return at("https", random.percent(50) ? local : "localhost", world.tls->port());
  const std::uint64_t host = random.below(world.hosts);
  return at("http", host == 0 ? "localhost" : "127.0.0." + std::to_string(host), world.plain.port());
}

void plan_upload(ChaosPlan& plan, SplitMix& random) {
  plan.method = random.percent(70) ? "POST" : "PUT";
  plan.upload = static_cast<Upload>(random.below(static_cast<std::uint64_t>(Upload::lying_source) + 1));
  if (plan.upload == Upload::failing_source && random.percent(50)) plan.upload = Upload::text;
  if (plan.upload == Upload::lying_source && random.percent(50)) plan.upload = Upload::sized_source;
  if (plan.upload != Upload::none) plan.upload_size = 1 + random_size(random);
  plan.rewindable = random.percent(50);
  plan.expects_continue = plan.upload != Upload::none && random.percent(15);
}

bool ends_by_itself(const ChaosPlan& plan) {
  return !never_ends(plan.errand.act) && (plan.door < Door::mute || plan.door == Door::no_name);
}

}  // namespace

ChaosPlan ChaosPlan::make(std::uint64_t seed, std::uint64_t number, const ChaosWorld& world) {
  SplitMix random(seed * 1'000'003 + number);
  ChaosPlan plan;
  plan.errand = {.act = random_act(random), .number = number, .size = random_size(random)};
  // Only long ones can be cut in the middle, and only short ones are sent before a reset throws away what is not.
  if (!is_whole(plan.errand.act)) plan.errand.size += 10;
  if (plan.errand.act == Act::reset_idle) plan.errand.size %= 500;
  plan.door = random_door(random, world);
  plan.url = url_of(plan, random, world);
  if (random.percent(20)) {
    plan_upload(plan, random);
  } else if (is_whole(plan.errand.act) && random.percent(10)) {
    plan.method = "HEAD";
  }
  plan.connection_close = random.percent(3);
  plan.style = static_cast<Style>(random.below(4));
  plan.reading = random.percent(60) ? Reading::all : static_cast<Reading>(random.below(4));
  const bool gives_up = !ends_by_itself(plan);
  if (random.percent(gives_up ? 50 : 8)) {
    plan.cancel = static_cast<Cancel>(1 + random.below(3));
    plan.cancel_after = random.micros_below(random.percent(50) ? 300 : 5000);
  }
  // A number is that of the first attempt only: it does not end what is tried again.
  const bool cancelled_whole = plan.cancel == Cancel::before || plan.cancel == Cancel::stop_token;
  if (random.percent(8) || (gives_up && !cancelled_whole)) {
    plan.short_timeout = random.micros_below(random.percent(50) ? 500 : 12'000);
  }
  return plan;
}

std::string ChaosPlan::describe() const {
  std::string text = method + " " + url;
  const auto add = [&](const char* what, auto value) {
    if (value != 0) text += std::string(" ") + what + "=" + std::to_string(value);
  };
  add("upload", static_cast<int>(upload));
  add("upload_size", upload_size);
  add("rewindable", static_cast<int>(rewindable));
  add("expects_continue", static_cast<int>(expects_continue));
  add("style", static_cast<int>(style));
  add("reading", static_cast<int>(reading));
  add("cancel", static_cast<int>(cancel));
  add("cancel_after_us", cancel_after.count());
  if (short_timeout) add("timeout_ns", short_timeout->count());
  return text;
}

namespace {

std::string complaint_about_error(const ChaosPlan& plan, const ChaosAllows& allows, const Error& error) {
  if (error.code == Errc::cancelled) return plan.cancel != Cancel::none ? "" : "nobody cancelled it";
  if (error.code == Errc::queue_full) return allows.queue_full ? "" : "no queue was full";
  if (error.code == Errc::acquire_timeout) return allows.acquire_timeout ? "" : "acquire_timeout is not set";
  if (error.code == Errc::shutdown) return allows.shutdown ? "" : "the transport had not ended";
  if (error.code == Errc::timeout && plan.short_timeout) return "";
  if (plan.door != Door::server || !is_whole(plan.errand.act)) return "";
  if (plan.upload == Upload::failing_source || plan.upload == Upload::lying_source) return "";
  // What may not be sent twice fails when its reused connection turns out to be dead.
  const bool repeatable = plan.method == "GET" || plan.method == "HEAD";
  if (!repeatable && error.code != Errc::timeout && error.code != Errc::protocol_error) return "";
  return "it should have succeeded";
}

std::string complaint_about_response(const ChaosPlan& plan, const ChaosOutcome& outcome) {
  const Response& response = *outcome.result;
  if (plan.door != Door::server) return "there is nobody who could have answered";
  const bool bad_source = plan.upload == Upload::failing_source || plan.upload == Upload::lying_source;
  const bool source = bad_source || plan.upload == Upload::sized_source || plan.upload == Upload::chunked_source;
  if (plan.errand.act == Act::early) return response.status == 413 ? "" : "not 413";
  if (bad_source) return "its body could not be sent";
  if (plan.errand.act == Act::unavailable) return response.status == 503 ? "" : "not 503";
  if (plan.errand.act == Act::redirect && source && !plan.rewindable && response.status == 307) return "";
  if (response.status != 200) return "status " + std::to_string(response.status);
  const std::string* received = find_header(response.headers, "x-received");
  if (received == nullptr || *received != std::to_string(plan.upload_size)) return "the server got another body";
  const std::string expected = plan.method == "HEAD" ? std::string() : body_text(plan.errand);
  if (!outcome.body_is_whole) return expected.starts_with(outcome.body) ? "" : "not a part of its body";
  if (!is_whole(plan.errand.act)) return "the response was not whole";
  return outcome.body == expected ? "" : "another body, of " + std::to_string(outcome.body.size()) + " bytes";
}

}  // namespace

std::string complaint_about(const ChaosPlan& plan, const ChaosAllows& allows, const ChaosOutcome& outcome) {
  const std::string what = outcome.result ? complaint_about_response(plan, outcome)
                                          : complaint_about_error(plan, allows, outcome.result.error());
  if (what.empty()) return {};
  return plan.describe() + ": " + what +
         (outcome.result ? std::string() : " (" + outcome.result.error().with_times() + ")");
}

}  // namespace conntrace::test
