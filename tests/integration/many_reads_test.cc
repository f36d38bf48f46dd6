// SPDX-License-Identifier: Apache-2.0
// Answers that take more reads than a connection has in one turn: over TLS each record is a read.
#include <future>

#include "conntrace/pipe_body.h"
#include "integration/transport_fixture.h"

namespace conntrace::test {
namespace {

void write_each(Peer& peer, std::string_view text) {
  for (const char c : text) peer.write({&c, 1});
  peer.flush();
}

class ManyReads : public TransportTest {
 protected:
  Client& use_tls(const ScriptedServer& server, TransportOptions options = {}) {
    options.tls.ca_file = server.certificate_file();
    return use(std::move(options));
  }
  /// The loop stands still in the request's hook until `written` is set: all reads are due at once then.
  template <auto hook, class Info>
  std::shared_ptr<const ClientTrace> holding() {
    auto trace = std::make_shared<ClientTrace>();
    (*trace).*hook = [this](const HookContext&, const Info&) { written_.get_future().wait(); };
    return trace;
  }

  std::promise<void> written_;
};

TEST_F(ManyReads, AnswerBehindAWriteErrorIsReadToItsEnd) {
  ScriptedServer server(
      [&](Peer& peer, int) {
        EXPECT_TRUE(peer.read_head());
        write_each(peer, "HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\n\r\ntoo big");
        peer.reset();
        written_.set_value();
      },
      /*tls=*/true);
  const auto result = use_tls(server).send(Request{.method = "PUT",
                                                   .url = server.url(),
                                                   .body = std::string(1u << 20, 'b'),
                                                   .trace = holding<&ClientTrace::wrote_headers, WroteHeadersInfo>()});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->status, 413);
  EXPECT_EQ(result->body, "too big");
}

TEST_F(ManyReads, TunnelIsSentThroughWhateverItsHeadTook) {
  ScriptedServer server(
      [&](Peer& peer, int) {
        EXPECT_TRUE(peer.read_head());
        write_each(peer, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        written_.set_value();
        EXPECT_EQ(peer.read_bytes(4), "ping");
        peer.write("pong");
        peer.close();
      },
      /*tls=*/true);
  auto pipe = std::make_shared<PipeBody>();
  ASSERT_TRUE(pipe->write("ping"));
  auto opened = use_tls(server).open(Request{.url = server.url(),
                                             .headers = {{"Connection", "Upgrade"}, {"Upgrade", "echo"}},
                                             .body_source = pipe,
                                             .trace = holding<&ClientTrace::wrote_request, WroteRequestInfo>()});
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->body.read_all(), "pong");
}

TEST_F(ManyReads, BodyThatWaitsFor100IsSentWhateverThat100Took) {
  ScriptedServer server(
      [&](Peer& peer, int) {
        EXPECT_TRUE(peer.read_head());
        write_each(peer, "HTTP/1.1 100 Continue\r\n\r\n");
        written_.set_value();
        EXPECT_EQ(peer.read_bytes(5), "hello");
        peer.respond();
      },
      /*tls=*/true);
  const auto result = use_tls(server, {.expect_continue_timeout = std::chrono::hours(1)})
                          .send(Request{.method = "PUT",
                                        .url = server.url(),
                                        .headers = {{"Expect", "100-continue"}},
                                        .body = "hello",
                                        .timeout = std::chrono::seconds(20),
                                        .trace = holding<&ClientTrace::wait_100_continue, Wait100ContinueInfo>()});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->status, 200);
}

}  // namespace
}  // namespace conntrace::test
