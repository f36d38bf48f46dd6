// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <openssl/x509_vfy.h>

#include "integration/transport_fixture.h"
#include "support/certificate.h"
#include "support/peer_process.h"
#include "support/reserved_port.h"

namespace conntrace::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Tls : public TransportTest {
 protected:
  [[nodiscard]] static std::string localhost(std::uint16_t port) {
    return "https://localhost:" + std::to_string(port) + "/";
  }
  [[nodiscard]] TlsHandshakeDoneInfo handshake(std::size_t index = 0) {
    const auto all = hooks_.all<EventKind::tls_handshake_done>();
    EXPECT_GT(all.size(), index);
    return all.size() > index ? all[index] : TlsHandshakeDoneInfo{};
  }
};

/// `openssl s_server`, whose answer to any request is what it knows of the connection, after which it closes it.
class OpensslServer {
 public:
  explicit OpensslServer(std::vector<std::string> more, const Identity& identity = make_identity())
      : certificate_(identity.certificate), key_(identity.key) {
    std::vector<std::string> command = {find_program("openssl"),
                                        "s_server",
                                        "-www",
                                        "-quiet",
                                        "-accept",
                                        "127.0.0.1:" + std::to_string(port_.port()),
                                        "-cert",
                                        certificate_.path(),
                                        "-key",
                                        key_.path()};
    command.insert(command.end(), more.begin(), more.end());
    process_.emplace(command, port_.port());
  }
  [[nodiscard]] std::string url() const { return "https://127.0.0.1:" + std::to_string(port_.port()) + "/"; }
  [[nodiscard]] const std::string& certificate() const { return certificate_.path(); }
  [[nodiscard]] std::uint16_t port() const { return port_.port(); }

 private:
  const ReservedPort port_;
  TemporaryFile certificate_;
  TemporaryFile key_;
  std::optional<PeerProcess> process_;
};

TEST_F(Tls, HandshakeIsBetweenConnectAndConnection) {
  ScriptedServer server(answer_all, true);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  const auto first = client.get(server.url());
  ASSERT_TRUE(first) << first.error().message();
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(hooks_.sequence(1),
            std::string("request_start get_conn why_new connect_start connect_done tls_handshake_start "
                        "tls_handshake_done dial_done ") +
                kExchange + "put_idle_conn body_closed request_done");
  EXPECT_EQ(server.connections(), 1);
  const auto tls = hooks_.all<EventKind::tls_handshake_done>().at(0);
  EXPECT_EQ(tls.version, "TLSv1.3");
  EXPECT_EQ(tls.alpn, "http/1.1");
  EXPECT_FALSE(tls.cipher.empty());
  EXPECT_FALSE(tls.resumed);
  EXPECT_EQ(tls.error, "");
}

TEST_F(Tls, CertificateThatNobodyVouchesFor) {
  ScriptedServer server(answer_all, true);
  Client& client = use();
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::tls);
  EXPECT_EQ(result.error().code, std::error_code(60, curl_category())) << "CURLE_PEER_FAILED_VERIFICATION";
  const auto tls = handshake();
  EXPECT_THAT(std::string(tls.error), HasSubstr("self-signed"));
  EXPECT_EQ(tls.verify_code, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
  EXPECT_EQ(tls.subject, "CN=localhost") << "the certificate is shown although it was refused";
}

TEST_F(Tls, InsecureAcceptsAnybodyAndSaysWhatWasWrong) {
  ScriptedServer server(answer_all, true);
  Client& client = use({.tls = {.verify = false}});
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(handshake().error, "");
  EXPECT_EQ(handshake().verify_code, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
  EXPECT_THAT(std::string(handshake().verify_error), HasSubstr("self-signed"));
}

// Go: TestTLSHandshakeTrace, and the certificate.
TEST_F(Tls, HandshakeSaysWhoThePeerIs) {
  const Identity identity = make_identity("the server", "DNS:localhost,DNS:*.example,IP:127.0.0.1,IP:::1");
  OpensslServer server({}, identity);
  Client& client = use({.tls = {.ca_pem = identity.certificate}});
  const auto response = client.get(localhost(server.port()));
  ASSERT_TRUE(response) << response.error().message();
  const auto tls = handshake();
  EXPECT_EQ(hooks_.all<EventKind::tls_handshake_start>().at(0).server_name, "localhost");
  EXPECT_EQ(tls.server_name, "localhost");
  EXPECT_EQ(tls.subject, "CN=the server");
  EXPECT_EQ(tls.issuer, "CN=the server");
  EXPECT_THAT(std::vector<Text>(tls.subject_alt_names.begin(), tls.subject_alt_names.end()),
              ElementsAre("localhost", "*.example", "127.0.0.1", "::1"));
  EXPECT_EQ(tls.chain_length, 1u);
  EXPECT_EQ(tls.verify_code, 0);
  // The same, said by somebody else.
  EXPECT_THAT(response->body, HasSubstr(std::string(tls.cipher)));
  EXPECT_THAT(response->body, HasSubstr(std::string(tls.version)));
  const std::string command = find_program("openssl") +
                              " x509 -noout -fingerprint -sha256 -dates -dateopt iso_8601 -in " + server.certificate();
  std::string said;
  FILE* pipe = popen(command.c_str(), "r");
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) {
    if (c != ':') said += static_cast<char>(std::tolower(c));
  }
  pclose(pipe);
  EXPECT_THAT(said, HasSubstr("=" + std::string(tls.fingerprint_sha256)));
  for (std::string date : {std::string(tls.not_before), std::string(tls.not_after)}) {
    date.replace(date.find('T'), 1, " ");
    std::erase(date, ':');
    std::transform(date.begin(), date.end(), date.begin(), ::tolower);
    EXPECT_THAT(said, HasSubstr(date));
  }
}

TEST_F(Tls, CertificateForAnotherName) {
  const Identity identity = make_identity("other", "DNS:other.example");
  OpensslServer server({}, identity);
  Client& client = use({.tls = {.ca_pem = identity.certificate}});
  const auto result = client.get(localhost(server.port()));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::tls);
  EXPECT_EQ(handshake().verify_code, X509_V_ERR_HOSTNAME_MISMATCH);
  EXPECT_NE(handshake().error, "");
}

TEST_F(Tls, ServerNameIsSentAndVerifiedInsteadOfTheHost) {
  const Identity identity = make_identity("other", "DNS:other.example");
  OpensslServer server({}, identity);
  Client& client = use({.tls = {.ca_pem = identity.certificate, .server_name = "other.example"}});
  for (const std::string& url : {localhost(server.port()), server.url()}) {
    const auto response = client.get(url);
    ASSERT_TRUE(response) << response.error().message();
  }
  EXPECT_EQ(handshake(0).server_name, "other.example");
  EXPECT_EQ(handshake(1).server_name, "other.example");
  EXPECT_EQ(hooks_.all<EventKind::dns_start>().at(0).host, "localhost");
}

TEST_F(Tls, ConfiguredAuthoritiesReplaceTheSystems) {
  ScriptedServer server(answer_all, true);
  const Identity other = make_identity();
  Client& client = use({.tls = {.ca_pem = other.certificate}});
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  EXPECT_NE(handshake().verify_code, 0);
}

TEST_F(Tls, PinnedPublicKey) {
  ScriptedServer server(answer_all, true);
  const std::string command = find_program("openssl") + " x509 -pubkey -noout -in " + server.certificate_file() +
                              " | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64";
  std::string pin = "sha256//";
  FILE* pipe = popen(command.c_str(), "r");
  for (int c = fgetc(pipe); c != EOF && c != '\n'; c = fgetc(pipe)) pin += static_cast<char>(c);
  pclose(pipe);
  Client& client = use({.tls = {.verify = false, .pinned_public_key = pin}});
  const auto response = client.get(server.url());
  EXPECT_TRUE(response) << response.error().message();
  const std::string wrong = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  Transport other({.tls = {.verify = false, .pinned_public_key = wrong}});
  std::promise<Result<Response>> answer;
  other.send(Request{.url = server.url()}, [&](Result<Response> result) { answer.set_value(std::move(result)); });
  const auto refused = answer.get_future().get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().phase, Phase::tls);
  EXPECT_EQ(refused.error().code.value(), 90) << "CURLE_SSL_PINNEDPUBKEYNOTMATCH";
}

TEST_F(Tls, ClientCertificate) {
  const Identity us = make_identity("us", "DNS:us.example");
  const TemporaryFile known(us.certificate);
  OpensslServer server({"-Verify", "1", "-verify_return_error", "-CAfile", known.path()});
  Client& client =
      use({.tls = {.ca_file = server.certificate(), .certificate_pem = us.certificate, .key_pem = us.key}});
  const auto response = client.get(server.url());
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_THAT(response->body, HasSubstr("Subject: CN=us"));
}

TEST_F(Tls, ClientCertificateThatCannotBeLoaded) {
  ScriptedServer server(answer_all, true);
  Client& client = use({.tls = {.certificate_file = "/nonexistent.pem"}});
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::tls);
  EXPECT_EQ(result.error().code.value(), 58) << "CURLE_SSL_CERTPROBLEM";
}

TEST_F(Tls, Versions) {
  OpensslServer server({"-tls1_2"});
  Client& client = use({.tls = {.ca_file = server.certificate(), .max_version = TlsVersion::tls_1_2}});
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(handshake().version, "TLSv1.2");
  Transport newer({.tls = {.ca_file = server.certificate(), .min_version = TlsVersion::tls_1_3}});
  std::promise<Result<Response>> answer;
  newer.send(Request{.url = server.url()}, [&](Result<Response> result) { answer.set_value(std::move(result)); });
  const auto refused = answer.get_future().get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().phase, Phase::tls);
}

TEST_F(Tls, SecondDialResumesTheSessionAndTheServerAgrees) {
  for (const bool newest : {true, false}) {
    OpensslServer server(newest ? std::vector<std::string>{"-tls1_3"} : std::vector<std::string>{"-tls1_2"});
    HookRecorder hooks;
    Client client(std::make_shared<Transport>(
        TransportOptions{.tls = {.ca_file = server.certificate()}, .trace = hooks.trace()}));
    for (int i = 0; i < 3; ++i) {
      const auto response = client.get(server.url());
      ASSERT_TRUE(response) << response.error().message();
      const auto tls = hooks.all<EventKind::tls_handshake_done>().at(static_cast<std::size_t>(i));
      EXPECT_EQ(tls.resumed, i > 0);
      EXPECT_EQ(tls.verify_code, 0);
      EXPECT_EQ(tls.subject, "CN=localhost") << "of the session";
      EXPECT_THAT(response->body, HasSubstr(i > 0 ? "Reused, TLS" : "New, TLS"));
    }
    EXPECT_EQ(hooks.count(EventKind::connect_start), 3u) << "each on its own connection";
  }
}

TEST_F(Tls, SessionsAreNotResumedForAnotherNameOrWhenTheyAreOff) {
  OpensslServer server({});
  Client& client = use({.tls = {.ca_file = server.certificate()}});
  ASSERT_TRUE(client.get(server.url()));
  ASSERT_TRUE(client.get(localhost(server.port())));
  EXPECT_FALSE(handshake(1).resumed);
  HookRecorder hooks;
  Client other(std::make_shared<Transport>(
      TransportOptions{.tls = {.ca_file = server.certificate(), .resume_sessions = false}, .trace = hooks.trace()}));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(other.get(server.url()));
  EXPECT_FALSE(hooks.all<EventKind::tls_handshake_done>().at(1).resumed);
}

TEST_F(Tls, MessagesOfTheHandshakeOnRequest) {
  OpensslServer server({"-tls1_3"});
  Client& client =
      use({.tls = {.ca_file = server.certificate(), .ciphers = "", .resume_sessions = false}, .tls_messages = true});
  ASSERT_TRUE(client.get(server.url()));
  std::vector<std::string> said;
  for (const TlsMessageInfo& message : hooks_.all<EventKind::tls_message>(1)) {
    EXPECT_GT(message.bytes, 0u);
    if (message.message != "ChangeCipherSpec")
      said.push_back((message.sent ? ">" : "<") + std::string(message.message));
  }
  EXPECT_THAT(said, ElementsAre(">ClientHello", "<ServerHello", "<EncryptedExtensions", "<Certificate",
                                "<CertificateVerify", "<Finished", ">Finished"));
  const auto events = hooks_.events();
  const auto index = [&](EventKind kind) {
    return std::find_if(events.begin(), events.end(), [&](const Event& event) { return event.kind() == kind; });
  };
  EXPECT_LT(index(EventKind::tls_handshake_start), index(EventKind::tls_message));
  for (auto event = index(EventKind::tls_handshake_done); event != events.end(); ++event) {
    EXPECT_NE(event->kind(), EventKind::tls_message);
  }
}

// Go: TestNoCrashReturningTransportAltConn: the request is cancelled while its TLS dial finishes.
TEST_F(Tls, DialThatFinishesAfterItsRequestIsPooledAndToldToTheTransportOnly) {
  std::promise<void> cancelled;
  auto wait = cancelled.get_future().share();
  ScriptedServer origin(answer_all, true);
  ScriptedServer gate([&](Peer& peer, int) {
    wait.wait();
    peer.splice(origin.port());
  });
  Client& client = use({.tls = {.ca_file = origin.certificate_file()}});
  std::stop_source stop;
  const std::string url = "https://127.0.0.1:" + std::to_string(gate.port()) + "/";
  auto result = client.send_async(Request{.url = url, .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::tls_handshake_start, 1));
  stop.request_stop();
  ASSERT_FALSE(result.get());
  cancelled.set_value();
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::put_idle_conn, 1));
  EXPECT_THAT(hooks_.sequence(0), HasSubstr("tls_handshake_done dial_done put_idle_conn"));
  EXPECT_EQ(
      hooks_.sequence(1),
      "request_start get_conn why_new connect_start connect_done tls_handshake_start get_conn_failed request_done");
  ASSERT_TRUE(client.get(url)) << "and serves the next";
  EXPECT_EQ(hooks_.count(EventKind::connect_start), 1u);
}

// Go: TestHTTPSClientDetectsHTTPServer.
TEST_F(Tls, PlainServer) {
  ScriptedServer server([](Peer& peer, int) { peer.write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  Client& client = use();
  const auto result = client.get("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::tls);
  EXPECT_EQ(result.error().code, Errc::not_tls);
  EXPECT_EQ(handshake().error, "server gave HTTP response to HTTPS client");
}

TEST_F(Tls, ServerRefusesHttp1ByAlert) {
  ScriptedServer server([](Peer&, int) {}, true, Alpn::refuses);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::not_http1);
  EXPECT_EQ(result.error().phase, Phase::tls);
  const std::string why = "http/1.1 was offered by ALPN, the server refused it: alert no_application_protocol";
  EXPECT_EQ(result.error().context, "https://127.0.0.1:" + std::to_string(server.port()) + " (" + why + ")");
  EXPECT_EQ(handshake().error, why);
  EXPECT_EQ(handshake().alpn, "");
}

TEST_F(Tls, ServerChoosesHttp2ThatNobodyOffered) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); }, true, Alpn::h2);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::not_http1);
  EXPECT_EQ(result.error().phase, Phase::tls);
  EXPECT_EQ(handshake().error, "http/1.1 was offered by ALPN, the server chose \"h2\"");
  EXPECT_EQ(handshake().alpn, "h2");
  EXPECT_EQ(hooks_.all<EventKind::dial_done>().at(0).phase, Phase::tls);
  EXPECT_EQ(hooks_.count(EventKind::got_conn), 0u);
}

TEST_F(Tls, ServerChoosesNothingAndSpeaksHttp2) {
  ScriptedServer server(
      [](Peer& peer, int) {
        peer.write(std::string_view("\0\0\0\x04\0\0\0\0\0", 9));
        peer.read_to_end();
      },
      true, Alpn::none);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::not_http1);
  EXPECT_THAT(result.error().message(), HasSubstr("(the server spoke HTTP/2: its first bytes are a SETTINGS frame; "
                                                  "http/1.1 was offered by ALPN, the server chose nothing)"));
  EXPECT_EQ(close_reason(), CloseReason::protocol_error);
}

TEST_F(Tls, HandshakeTimeout) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });
  Client& client = use({.tls_handshake_timeout = std::chrono::milliseconds(50)});
  const auto result = client.get("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::timed_out);
  EXPECT_EQ(result.error().phase, Phase::tls);
}

TEST_F(Tls, ServerClosesAnIdleConnection) {
  ScriptedServer server(
      [&](Peer& peer, int) {
        ASSERT_TRUE(peer.read_head());
        peer.respond();
        ASSERT_TRUE(hooks_.wait_for_count(EventKind::request_done, 1));
      },
      true);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  ASSERT_TRUE(client.get(server.url()));
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::server_closed_idle);
  EXPECT_EQ(end.by, ClosedBy::peer);
}

TEST_F(Tls, LargeBodiesBothWays) {
  const std::string body(4 << 20, 'z');
  ScriptedServer server(
      [&](Peer& peer, int) {
        if (!peer.read_head()) return;
        peer.respond(peer.read_bytes(body.size()));
        peer.read_to_end();
      },
      true);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  const auto response = client.send(Request{.method = "POST", .url = server.url(), .body = body});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, body);
}

}  // namespace
}  // namespace conntrace::test
