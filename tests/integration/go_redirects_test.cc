// SPDX-License-Identifier: Apache-2.0
// Go's tests of redirects and cookies, asked of this client (docs/go-behaviours.md, 86 to 93).
#include <gmock/gmock.h>

#include <stdexcept>

#include "conntrace/pipe_body.h"
#include "integration/go_fixture.h"
#include "support/reserved_port.h"
#include "support/site.h"

namespace conntrace::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class GoRedirects : public GoTest {
 protected:
  Client& use_client(ClientOptions options, TransportOptions transport = {}) {
    use(std::move(transport));
    client_.emplace(transport_, std::move(options));
    return *client_;
  }
};

/// /?n=1 leads to /?n=2 and so on, up to 15.
std::string count_up(const std::string& path, int) {
  const int n = path.find("n=") == std::string::npos ? 0 : std::stoi(path.substr(path.find("n=") + 2));
  if (n >= 15) return answer("200 OK", "", "n=" + std::to_string(n));
  return answer("302 Found", "Location: /?n=" + std::to_string(n + 1) + "\r\n", "moved");
}

TEST_F(GoRedirects, ClientRedirects) {
  Site site(count_up);
  std::vector<int> followed;
  std::vector<std::vector<std::string>> via;
  Result<RedirectChoice> after_three = RedirectChoice::follow;
  Client& client = use_client({.check_redirect = [&](const RedirectStep& step) {
    followed.push_back(step.followed);
    via.emplace_back();
    for (const RedirectHop& hop : step.via) via.back().push_back(hop.url);
    return step.followed < 3 ? RedirectChoice::follow : after_three;
  }});
  const auto stopped = client.get(site.url("/"));
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Errc::too_many_redirects);
  EXPECT_THAT(stopped.error().message(), HasSubstr("stopped after 10 redirects"));
  ASSERT_NE(stopped.error().response, nullptr);
  EXPECT_EQ(stopped.error().response->status, 302);
  EXPECT_EQ(*find_header(stopped.error().response->headers, "location"), "/?n=11");
  EXPECT_EQ(site.heads().size(), 11u);
  EXPECT_THAT(followed, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(via.at(0), ElementsAre(site.url("/")));
  EXPECT_THAT(via.at(2), ElementsAre(site.url("/"), site.url("/?n=1"), site.url("/?n=2")));
  EXPECT_EQ(via.at(9).size(), 10u);
  EXPECT_THAT(site.heads().at(10), HasSubstr("Referer: " + site.url("/?n=9") + "\r\n"));

  after_three = RedirectChoice::fail;
  const auto refused = client.get(site.url("/"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::redirect_refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("n=4"));
  EXPECT_EQ(site.heads().size(), 15u);

  after_three = Failure(make_error(Errc::invalid_request, "not there"));
  const auto refused_by_error = client.get(site.url("/"));
  ASSERT_FALSE(refused_by_error);
  EXPECT_EQ(refused_by_error.error().code, Errc::invalid_request);
  EXPECT_EQ(refused_by_error.error().context, "not there");
  const auto last = refused_by_error.error().response;
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->status, 302);
  EXPECT_EQ(*find_header(last->headers, "location"), "/?n=4");
  EXPECT_EQ(last->body, "") << "closed, as in Go";
  EXPECT_EQ(last->request, hooks_.all<EventKind::request_done>().size());
  EXPECT_EQ(site.connections(), 1) << "its rest was short";
}

// What Go's policies do with via and the request that is to come: look at what was sent, and change what will be.
TEST_F(GoRedirects, PolicySeesAndChangesHeaders) {
  Site site([](const std::string& path, int) {
    if (path == "/a") return answer("302 Found", "Location: /b\r\nSet-Cookie: late=1\r\n");
    return path == "/b" ? answer("307 Temporary Redirect", "Location: /c\r\n") : answer("200 OK");
  });
  auto jar = std::make_shared<CookieJar>();
  jar->set_cookies(site.url("/"), {{"Set-Cookie", "early=1"}});
  std::vector<RedirectHop> hops;
  Client& client = use_client({.check_redirect =
                                   [&](const RedirectStep& step) {
                                     hops.assign(step.via.begin(), step.via.end());
                                     step.next_headers.emplace_back("X-Hops", std::to_string(step.via.size()));
                                     return RedirectChoice::follow;
                                   },
                               .cookie_jar = jar});
  ASSERT_TRUE(client.send(Request{.method = "POST", .url = site.url("/a"), .headers = {{"X-Own", "1"}}, .body = "b"}));
  ASSERT_EQ(hops.size(), 2u);
  EXPECT_EQ(hops[0].method, "POST");
  EXPECT_EQ(hops[0].status, 302);
  EXPECT_EQ(hops[0].request, 1u);
  EXPECT_EQ(*find_header(hops[0].headers, "cookie"), "early=1") << "as it was sent, not as it would be now";
  EXPECT_NE(find_header(hops[0].headers, "accept-encoding"), nullptr);
  EXPECT_EQ(hops[1].method, "GET");
  EXPECT_EQ(hops[1].status, 307);
  EXPECT_EQ(hops[1].url, site.url("/b"));
  EXPECT_EQ(*find_header(hops[1].headers, "cookie"), "early=1; late=1");
  EXPECT_EQ(*find_header(hops[1].headers, "x-hops"), "1");
  EXPECT_THAT(site.heads().at(1), HasSubstr("X-Own: 1\r\n"));
  EXPECT_THAT(site.heads().at(1), HasSubstr("X-Hops: 1\r\n"));
  EXPECT_THAT(site.heads().at(2), HasSubstr("X-Hops: 2\r\n"));
  EXPECT_THAT(site.heads().at(2), Not(HasSubstr("X-Hops: 1\r\n"))) << "a change is for one request";
}

TEST_F(GoRedirects, ClientRedirectTypes) {
  Site site([](const std::string& path, int) {
    return path == "/end" ? answer("200 OK") : answer(path.substr(1) + " Moved", "Location: /end\r\n");
  });
  Client& client = use_client({});
  for (const int status : {301, 302, 303, 307, 308}) {
    for (const std::string method : {"HEAD", "GET", "POST", "PUT", "DELETE", "PATCH"}) {
      const bool body = method == "POST" || method == "PUT" || method == "PATCH";
      const std::size_t before = site.heads().size();
      const auto response = client.send(
          Request{.method = method, .url = site.url("/" + std::to_string(status)), .body = body ? "body" : ""});
      ASSERT_TRUE(response) << response.error().message();
      const bool keeps = status >= 307;
      const std::string expected = keeps || method == "HEAD" ? method : "GET";
      const std::string second = site.heads().at(before + 1);
      EXPECT_THAT(second, StartsWith(expected + " /end HTTP/1.1\r\n")) << status;
      EXPECT_EQ(second.find("Content-Length: 4\r\n") != std::string::npos, keeps && body) << second;
    }
  }
  EXPECT_EQ(site.connections(), 1);
}

TEST_F(GoRedirects, ClientRedirectUseResponse) {
  Site site([](const std::string&, int) { return answer("302 Found", "Location: /other\r\n", "a body"); });
  Client& client = use_client({.check_redirect = [](const RedirectStep&) { return RedirectChoice::use_response; }});
  auto opened = client.open({.url = site.url("/")});
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->head.status, 302);
  EXPECT_EQ(opened->body.read_all(), "a body") << "it is still open";
  EXPECT_EQ(site.heads().size(), 1u);
}

// Neither what is wrong with a refused redirect's body nor a policy's exception makes a request that was refused.
TEST_F(GoRedirects, RefusedIsNotRepeated) {
  ScriptedServer server([](Peer& peer, int connection) {
    if (!peer.read_head()) return;
    if (connection > 0) return peer.respond();
    peer.write("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 100\r\n\r\ncut");
  });
  Client& client = use_client({.check_redirect = [](const RedirectStep&) { return RedirectChoice::fail; },
                               .retry = std::make_shared<RetryPolicy>()});
  const auto refused = client.get(server.url());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::redirect_refused);
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(GoRedirects, PolicyThatThrows) {
  Site site([](const std::string&, int) { return answer("302 Found", "Location: /other\r\n"); });
  Client& client =
      use_client({.check_redirect = [](const RedirectStep&) -> RedirectChoice { throw std::runtime_error("no"); }});
  const auto refused = client.get(site.url("/"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::redirect_refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("check_redirect threw"));
  ASSERT_NE(refused.error().response, nullptr);
  EXPECT_EQ(refused.error().response->status, 302);
  EXPECT_EQ(site.heads().size(), 1u);
}

// A response that is used is no hop, even if the retry policy has the request repeated.
TEST_F(GoRedirects, UsedResponseIsNoHop) {
  Site site([](const std::string&, int) { return answer("307 Temporary Redirect", "Location: /other\r\n"); });
  std::vector<std::size_t> hops;
  int answered = 0;
  Client& client = use_client({.check_redirect =
                                   [&](const RedirectStep& step) {
                                     hops.push_back(step.via.size());
                                     return RedirectChoice::use_response;
                                   },
                               .retry = std::make_shared<RetryPolicy>(RetryOptions{
                                   .delay = {}, .max_jitter = {}, .retry_if = [&](const FailedAttempt& attempt) {
                                     return attempt.error == nullptr && ++answered == 1;
                                   }})});
  ASSERT_TRUE(client.get(site.url("/")));
  EXPECT_THAT(hops, ElementsAre(1, 1));
}

TEST_F(GoRedirects, ClientRedirectNoLocation) {
  Site site([](const std::string&, int) { return answer("301 Moved Permanently", "Foo: Bar\r\n"); });
  const auto response = use_client({}).get(site.url("/"));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 301);
  EXPECT_NE(find_header(response->headers, "Foo"), nullptr);
}

TEST_F(GoRedirects, ClientRedirect308NoGetBody) {
  Site site([](const std::string&, int) { return answer("308 Permanent Redirect", "Location: /end\r\n"); });
  auto once = std::make_shared<PipeBody>(5);
  ASSERT_TRUE(once->write("hello"));
  once->finish();
  const auto response = use_client({}).send(Request{.method = "POST", .url = site.url("/"), .body_source = once});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 308);
  EXPECT_EQ(site.heads().size(), 1u);
}

TEST_F(GoRedirects, ClientRedirectEatsBody) {
  Site site([](const std::string& path, int) {
    return path == "/" ? answer("302 Found", "Location: /foo\r\n", std::string(2048, 'x')) : answer("200 OK", "", "ok");
  });
  ASSERT_TRUE(use_client({}).get(site.url("/")));
  EXPECT_EQ(site.connections(), 1);
  EXPECT_EQ(connections(), (std::vector<ConnectionId>{1, 1}));
}

TEST_F(GoRedirects, Referer) {
  Site plain([](const std::string&, int) { return answer("200 OK"); });
  Site secure(
      [&](const std::string& path, int) {
        return answer("302 Found", "Location: " + (path == "/down" ? plain.url("/") : "/down") + "\r\n");
      },
      true);
  Client& client = use_client({}, {.tls = {.ca_file = secure.certificate_file()}});
  std::string url = secure.url("/");
  url.insert(url.find("//") + 2, "gopher:secret@");
  ASSERT_TRUE(client.get(url));
  EXPECT_THAT(secure.heads().at(1), HasSubstr("Referer: " + secure.url("/") + "\r\n")) << "without credentials";
  EXPECT_THAT(plain.heads().at(0), Not(HasSubstr("Referer"))) << "https to http";
}

TEST_F(GoRedirects, ShouldCopyHeaderOnRedirect) {
  Site other([](const std::string&, int) { return answer("200 OK"); });
  Site site([&](const std::string& path, int) {
    if (path == "/end") return answer("200 OK");
    return answer("302 Found", path == "/here"
                                   ? "Location: /end\r\n"
                                   : "Location: http://localhost:" + std::to_string(other.port()) + "/\r\n");
  });
  Client& client = use_client({});
  const Headers headers = {
      {"Authorization", "a"}, {"Www-Authenticate", "b"}, {"Cookie", "c=d"}, {"Cookie2", "e"}, {"X-Plain", "f"}};
  ASSERT_TRUE(client.send(Request{.url = site.url("/here"), .headers = headers}));
  ASSERT_TRUE(client.send(Request{.url = site.url("/away"), .headers = headers}));
  for (const auto& [name, value] : headers) {
    EXPECT_THAT(site.heads().at(1), HasSubstr("\r\n" + name + ": ")) << "the same host";
    EXPECT_EQ(other.heads().at(0).find("\r\n" + name + ": ") != std::string::npos, name == "X-Plain") << name;
  }
}

TEST_F(GoRedirects, ClientCopyHostOnRedirect) {
  Site other([](const std::string&, int) { return answer("200 OK"); });
  Site site([&](const std::string& path, int) {
    if (path == "/") return answer("302 Found", "Location: /hop\r\n");
    return answer("302 Found", "Location: " + other.url("/") + "\r\n");
  });
  ASSERT_TRUE(use_client({}).send(Request{.url = site.url("/"), .headers = {{"Host", "virtual.test"}}}));
  EXPECT_THAT(site.heads().at(0), HasSubstr("\r\nHost: virtual.test\r\n"));
  EXPECT_THAT(site.heads().at(1), HasSubstr("\r\nHost: virtual.test\r\n")) << "a relative Location";
  EXPECT_THAT(other.heads().at(0), HasSubstr("\r\nHost: 127.0.0.1:" + std::to_string(other.port()) + "\r\n"));
}

TEST_F(GoRedirects, StripPasswordFromError) {
  const ReservedPort nobody;
  std::string url = nobody.url("/path?token=key");
  url.insert(url.find("//") + 2, "user:secret@");
  Client& client = use_client({});
  for (const std::string& bad : {url, "ftp" + url.substr(4)}) {
    const auto result = client.get(bad);
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().with_times(), Not(HasSubstr("secret")));
  }
  EXPECT_THAT(hooks_.dump(), Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace conntrace::test
