// SPDX-License-Identifier: Apache-2.0
// What the client makes of responses: redirects, retries, cookies, codings, rates.
#include <atomic>

#include "conntrace/body_source.h"
#include "conntrace/pipe_body.h"
#include "integration/transport_fixture.h"
#include "support/gzip.h"
#include "support/site.h"

namespace conntrace::test {
namespace {

class ClientTest : public TransportTest {
 protected:
  Client& use_client(ClientOptions options, TransportOptions transport = {}) {
    use(std::move(transport));
    client_.emplace(transport_, std::move(options));
    return *client_;
  }
  [[nodiscard]] std::vector<RequestStartInfo> starts() const { return hooks_.all<EventKind::request_start>(); }
};

TEST_F(ClientTest, FollowsARedirectOnTheSameConnectionAndSaysSo) {
  Site site([](const std::string& path, int) {
    return path == "/a" ? answer("302 Found", "Location: /b?secret=1\r\n", "moved") : answer("200 OK", "", "here");
  });
  const auto response = use_client({}).get(site.url("/a"));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "here");
  EXPECT_EQ(response->request, 2u);
  EXPECT_EQ(site.connections(), 1);
  const auto told = hooks_.all<EventKind::redirect>().at(0);
  EXPECT_EQ(told.status, 302);
  EXPECT_EQ(told.next_request, 2u);
  EXPECT_EQ(told.location, site.url("/b?secret=*"));
  EXPECT_EQ(starts().at(1).redirected_from, 1u);
  EXPECT_TRUE(site.heads().at(1).find("Referer: " + site.url("/a")) != std::string::npos) << site.heads().at(1);
}

TEST_F(ClientTest, StopsAfterTenRedirects) {
  Site site([](const std::string&, int visit) {
    return answer("302 Found", "Location: /?" + std::to_string(visit) + "\r\n");
  });
  const auto response = use_client({}).get(site.url("/"));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Errc::too_many_redirects);
  EXPECT_EQ(site.heads().size(), 11u);
}

TEST_F(ClientTest, PolicyMayKeepTheRedirectAsTheResponse) {
  Site site([](const std::string&, int) { return answer("302 Found", "Location: /b\r\n", "moved"); });
  ClientOptions options;
  options.check_redirect = [](const RedirectStep& step) {
    EXPECT_EQ(step.followed, 0);
    EXPECT_TRUE(step.next_url.ends_with("/b"));
    return RedirectChoice::use_response;
  };
  const auto response = use_client(options).get(site.url("/a"));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 302);
  EXPECT_EQ(response->body, "moved");
}

TEST_F(ClientTest, RedirectMakesAPostAGetUnlessItIsA307) {
  Site site([](const std::string& path, int) {
    if (path == "/303") return answer("303 See Other", "Location: /end\r\n");
    if (path == "/307") return answer("307 Temporary Redirect", "Location: /end\r\n");
    return answer("200 OK", "", "end");
  });
  Client& client = use_client({});
  ASSERT_TRUE(client.send(Request{.method = "POST", .url = site.url("/303"), .body = "one"}));
  ASSERT_TRUE(client.send(Request{.method = "POST", .url = site.url("/307"), .body = "two"}));
  EXPECT_EQ(site.bodies(), "one||two|two|");
  EXPECT_TRUE(site.heads().at(1).starts_with("GET /end"));
  EXPECT_TRUE(site.heads().at(3).starts_with("POST /end"));
}

TEST_F(ClientTest, BodyThatCannotBeSentAgainMakesThe307TheResponse) {
  Site site([](const std::string&, int) { return answer("307 Temporary Redirect", "Location: /end\r\n"); });
  auto pipe = std::make_shared<PipeBody>(3);
  ASSERT_TRUE(pipe->write("abc"));
  pipe->finish();
  const auto response = use_client({}).send(Request{.method = "POST", .url = site.url("/307"), .body_source = pipe});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 307);
  EXPECT_FALSE(pipe->write("more"));  // closed, once all is over
}

TEST_F(ClientTest, SecretsDoNotFollowToAnotherHost) {
  Site other([](const std::string&, int) { return answer("200 OK"); });
  Site site([&](const std::string&, int) {
    return answer("302 Found", "Location: http://localhost:" + std::to_string(other.port()) + "/\r\n");
  });
  ASSERT_TRUE(
      use_client({}).send(Request{.url = site.url("/"), .headers = {{"Authorization", "Bearer 1"}, {"X-Other", "2"}}}));
  EXPECT_NE(site.heads().at(0).find("Authorization"), std::string::npos);
  EXPECT_EQ(other.heads().at(0).find("Authorization"), std::string::npos);
  EXPECT_NE(other.heads().at(0).find("X-Other: 2"), std::string::npos);
}

TEST_F(ClientTest, RetriesAStatusAfterThePauseThatTheServerAskedFor) {
  Site site([](const std::string&, int visit) {
    return visit < 3 ? answer("503 Service Unavailable", "Retry-After: 0\r\n", "busy") : answer("200 OK", "", "done");
  });
  const auto policy = std::make_shared<RetryPolicy>(RetryOptions{.attempts = 3, .delay = {}, .max_jitter = {}});
  const auto response = use_client({.retry = policy}).get(site.url("/"));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "done");
  EXPECT_EQ(starts().at(1).retry_of, 1u);
  EXPECT_EQ(starts().at(2).retry_of, 2u);
  EXPECT_EQ(site.connections(), 1);
}

TEST_F(ClientTest, LastAttemptsResponseIsTheResponse) {
  Site site([](const std::string&, int) { return answer("503 Service Unavailable", "", "busy"); });
  const auto policy = std::make_shared<RetryPolicy>(RetryOptions{.attempts = 2, .delay = {}, .max_jitter = {}});
  const auto response = use_client({.retry = policy}).get(site.url("/"));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 503);
  EXPECT_EQ(response->body, "busy");
  EXPECT_EQ(site.heads().size(), 2u);
}

TEST_F(ClientTest, RetriesAnErrorOfAFreshConnectionOnlyIfItMayBeRepeated) {
  std::atomic<int> accepted = 0;
  ScriptedServer server([&](Peer& peer, int) {
    const bool first = accepted++ % 2 == 0;
    if (!peer.read_head()) return;
    if (first) return peer.reset();
    peer.respond();
    peer.read_to_end();
  });
  const auto policy = std::make_shared<RetryPolicy>(RetryOptions{.attempts = 2, .delay = {}, .max_jitter = {}});
  Client& client = use_client({.retry = policy}, {.disable_keep_alives = true});
  EXPECT_TRUE(client.get(server.url()));
  EXPECT_FALSE(client.send(Request{.method = "POST", .url = server.url()}));
  EXPECT_EQ(accepted, 3);
}

TEST_F(ClientTest, StopTokenEndsThePauseBeforeARetry) {
  Site site([](const std::string&, int) { return answer("503 Service Unavailable"); });
  std::stop_source stop;
  const auto policy =
      std::make_shared<RetryPolicy>(RetryOptions{.attempts = 2,
                                                 .delay = std::chrono::hours(1),
                                                 .delay_type = fixed_delay,
                                                 .on_retry = [&](const auto&, const auto&) { stop.request_stop(); }});
  const auto response = use_client({.retry = policy}).send(Request{.url = site.url("/"), .stop = stop.get_token()});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Errc::cancelled);
}

TEST_F(ClientTest, TransportThatEndsEndsThePause) {
  Site site([](const std::string&, int) { return answer("503 Service Unavailable"); });
  const auto policy = std::make_shared<RetryPolicy>(
      RetryOptions{.attempts = 2, .delay = std::chrono::hours(1), .delay_type = fixed_delay});
  auto response = use_client({.retry = policy}).send_async(Request{.url = site.url("/")});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::request_done, 1));
  client_.reset();
  transport_.reset();
  const auto result = response.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::shutdown);
}

TEST_F(ClientTest, CookiesOfOneResponseGoWithTheNextRequest) {
  Site site([](const std::string& path, int) {
    return path == "/login" ? answer("302 Found", "Set-Cookie: id=7; Path=/\r\nLocation: /home\r\n") : answer("200 OK");
  });
  const auto jar = std::make_shared<CookieJar>();
  ASSERT_TRUE(use_client({.cookie_jar = jar}).get(site.url("/login")));
  EXPECT_EQ(site.heads().at(0).find("Cookie"), std::string::npos);
  EXPECT_NE(site.heads().at(1).find("Cookie: id=7\r\n"), std::string::npos) << site.heads().at(1);
  EXPECT_EQ(jar->cookies().size(), 1u);
}

TEST_F(ClientTest, DecodesWhatItAskedFor) {
  const std::string text(100'000, 'x');
  Site site([&](const std::string&, int) { return answer("200 OK", "Content-Encoding: gzip\r\n", gzip(text)); });
  Client& client = use_client({});
  const auto decoded = client.get(site.url("/"));
  ASSERT_TRUE(decoded) << decoded.error().message();
  EXPECT_EQ(decoded->body, text);
  EXPECT_TRUE(decoded->uncompressed);
  EXPECT_EQ(find_header(decoded->headers, "content-encoding"), nullptr);
  const auto as_it_came = client.send(Request{.url = site.url("/"), .headers = {{"Accept-Encoding", "gzip"}}});
  ASSERT_TRUE(as_it_came);
  EXPECT_FALSE(as_it_came->uncompressed);
  EXPECT_EQ(as_it_came->body, gzip(text));
  EXPECT_EQ(site.connections(), 1);
}

TEST_F(ClientTest, ReaderThatIsSlowGetsADecodedBodyWhole) {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += std::to_string(i);
  Site site([&](const std::string&, int) { return answer("200 OK", "Content-Encoding: gzip\r\n", gzip(text)); });
  auto opened = use_client({}).open({.url = site.url("/")});
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->head.uncompressed);
  const auto all = opened->body.read_all();
  ASSERT_TRUE(all) << all.error().message();
  EXPECT_EQ(*all, text);
}

TEST_F(ClientTest, TruncatedAndCorruptCodedBodiesAreErrors) {
  Site site([&](const std::string& path, int) {
    std::string coded = gzip("some text that is long enough");
    if (path == "/cut") coded.resize(coded.size() / 2);
    if (path == "/bad") coded = "not gzip at all";
    return answer("200 OK", "Content-Encoding: gzip\r\n", coded);
  });
  Client& client = use_client({});
  for (const char* path : {"/cut", "/bad"}) {
    const auto response = client.get(site.url(path));
    ASSERT_FALSE(response) << path;
    EXPECT_EQ(response.error().phase, Phase::receive);
    EXPECT_NE(response.error().message().find("gzip"), std::string::npos) << response.error().message();
  }
}

TEST_F(ClientTest, TimeoutCoversAllRedirects) {
  Site site([](const std::string&, int visit) {
    return answer("302 Found", "Location: /?" + std::to_string(visit) + "\r\n");
  });
  const auto response = use_client({.max_redirects = 1'000'000'000})
                            .send(Request{.url = site.url("/"), .timeout = std::chrono::milliseconds(50)});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Errc::timeout);
}

TEST_F(ClientTest, RateLimiterThatWouldTakeLongerThanTheTimeoutFailsAtOnce) {
  Site site([](const std::string&, int) { return answer("200 OK"); });
  const auto limiter = std::make_shared<RateLimiter>(RateLimit{.per_second = 0.001, .burst = 1});
  Client& client = use_client({.timeout = std::chrono::seconds(10), .rate_limiter = limiter});
  EXPECT_TRUE(client.get(site.url("/")));
  const auto refused = client.get(site.url("/"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::rate_limited);
  EXPECT_EQ(refused.error().phase, Phase::blocked);
  EXPECT_EQ(site.heads().size(), 1u);
}

TEST_F(ClientTest, RateLimiterSpacesRequestsOfOneHost) {
  Site site([](const std::string&, int) { return answer("200 OK"); });
  const auto limiter =
      std::make_shared<KeyedRateLimiter>(KeyedRateLimiterOptions{.each = {.per_second = 100, .burst = 1}});
  Client& client = use_client({.rate_limiter_per_host = limiter});
  const auto before = static_cast<std::uint64_t>(mono_now().count());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(client.get(site.url("/")));
  std::vector<std::uint64_t> at;
  for (const Event& event : hooks_.events()) {
    if (event.kind() == EventKind::request_start) at.push_back(event.header.mono_ns);
  }
  EXPECT_GE(at.back() - before, 29'000'000u);
}

}  // namespace
}  // namespace conntrace::test
