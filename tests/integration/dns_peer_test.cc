// SPDX-License-Identifier: Apache-2.0
// A name server that others wrote: dnsmasq, in a network namespace whose resolv.conf names it. Without dnsmasq, or
// without root (port 53, mounts), it says so and exits with 77.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <future>

#include "integration/transport_fixture.h"
#include "support/namespaces.h"
#include "support/peer_process.h"
#include "support/temporary_file.h"

namespace conntrace::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class DnsPeers : public TransportTest {
 protected:
  void TearDown() override {
    TransportTest::TearDown();
    if (HasFailure()) std::cerr << dnsmasq_.log();
  }

  [[nodiscard]] static std::string at(const std::string& name, const ScriptedServer& server) {
    return "http://" + name + ":" + std::to_string(server.port()) + "/";
  }
  /// How often it was asked for the IPv4 addresses of this name.
  [[nodiscard]] int asked_for(const std::string& name) const {
    const std::string log = dnsmasq_.log();
    const std::string line = "query[A] " + name + " from";
    int count = 0;
    for (std::size_t at = log.find(line); at != std::string::npos; at = log.find(line, at + 1)) ++count;
    return count;
  }
  [[nodiscard]] static std::vector<std::string> addresses(const DnsDoneInfo& info) {
    return {info.addresses.begin(), info.addresses.end()};
  }

  PeerProcess dnsmasq_{{find_program("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null", "--user=root",
                        "--pid-file=", "--no-resolv", "--no-hosts", "--log-facility=-", "--log-queries",
                        "--listen-address=127.0.0.1", "--bind-interfaces", "--host-record=one.test,127.0.0.1",
                        "--host-record=both.test,127.0.0.1,::1", "--host-record=many.test,127.0.0.1",
                        "--host-record=many.test,127.0.0.2", "--cname=alias.test,one.test", "--local=/nothing.test/"},
                       53};
};

TEST_F(DnsPeers, NameAndAlias) {
  ScriptedServer server(answer_all);
  Client& client = use();
  for (const char* name : {"one.test", "alias.test"}) {
    const auto response = client.get(at(name, server));
    ASSERT_TRUE(response) << response.error().message();
  }
  for (const DnsDoneInfo& info : hooks_.all<EventKind::dns_done>()) {
    EXPECT_THAT(addresses(info), ::testing::ElementsAre("127.0.0.1"));
    EXPECT_GE(info.resolver_end_ns, info.resolver_start_ns);
  }
  EXPECT_EQ(asked_for("one.test"), 1);
  EXPECT_EQ(asked_for("alias.test"), 1);
}

TEST_F(DnsPeers, EveryAddressIsToldAndTheDeadOneIsPassedBy) {
  ScriptedServer server(answer_all);  // at 127.0.0.1 only
  Client& client = use();
  const auto response = client.get(at("many.test", server));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_THAT(addresses(hooks_.all<EventKind::dns_done>().at(0)), UnorderedElementsAre("127.0.0.1", "127.0.0.2"));
  const auto tried = hooks_.all<EventKind::connect_done>();
  EXPECT_EQ(tried.back().outcome, ConnectOutcome::connected);
  EXPECT_EQ(tried.back().address, "127.0.0.1:" + std::to_string(server.port()));
}

TEST_F(DnsPeers, BothFamilies) {
  ScriptedServer server(answer_all);
  Client& client = use();
  ASSERT_TRUE(client.get(at("both.test", server)));
  EXPECT_THAT(addresses(hooks_.all<EventKind::dns_done>().at(0)), UnorderedElementsAre("::1", "127.0.0.1"));
  EXPECT_THAT(dnsmasq_.log(), HasSubstr("query[AAAA] both.test"));
}

TEST_F(DnsPeers, ManyRequestsAskOnce) {
  ScriptedServer server(answer_all);
  Client& client = use();
  std::vector<std::future<Result<Response>>> results;
  std::promise<void> go_on;
  // All lookups are asked for before the first can be answered to the transport.
  std::promise<void> standing;
  transport_->run_after({}, [&](bool) {
    standing.set_value();
    go_on.get_future().wait();
  });
  standing.get_future().wait();
  for (int i = 0; i < 5; ++i) results.push_back(client.send_async(Request{.url = at("one.test", server)}));
  go_on.set_value();
  for (auto& result : results) EXPECT_TRUE(result.get());
  const auto done = hooks_.all<EventKind::dns_done>();
  ASSERT_EQ(done.size(), 5u);
  int coalesced = 0;
  for (const DnsDoneInfo& info : done) coalesced += info.coalesced ? 1 : 0;
  EXPECT_EQ(coalesced, 4);
  EXPECT_EQ(asked_for("one.test"), 1) << "its log says the same";
}

TEST_F(DnsPeers, NameThatDoesNotExist) {
  Client& client = use();
  const auto result = client.get("http://nothing.test/");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::name_not_resolved);
  EXPECT_EQ(result.error().phase, Phase::dns);
  EXPECT_THAT(dnsmasq_.log(), HasSubstr("config nothing.test is NXDOMAIN"));
  EXPECT_EQ(hooks_.count(EventKind::connect_start), 0u);
}

TEST_F(DnsPeers, ServerThatRefusesToAnswer) {
  Client& client = use();
  const auto result = client.get("http://elsewhere.example/");  // there is no server that could be asked
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::name_not_resolved);
  EXPECT_EQ(result.error().phase, Phase::dns);
  EXPECT_NE(hooks_.all<EventKind::dns_done>().at(0).error, "");
}

}  // namespace
}  // namespace conntrace::test

int main(int argc, char** argv) {
  using namespace conntrace::test;
  ::testing::InitGoogleTest(&argc, argv);
  const TemporaryFile resolv("nameserver 127.0.0.1\noptions timeout:20 attempts:1\n");
  const TemporaryFile nsswitch("hosts: dns\n");
  const bool installed = !find_program("dnsmasq").empty();
  const bool alone = installed && geteuid() == 0 &&
                     enter_namespaces({{"/etc/resolv.conf", resolv.path()}, {"/etc/nsswitch.conf", nsswitch.path()}});
  if (!alone) {
    std::fprintf(stderr, "a real name server cannot be tested here: %s\n",
                 installed ? "this needs root" : "dnsmasq is not installed");
    return 77;
  }
  return RUN_ALL_TESTS();
}
