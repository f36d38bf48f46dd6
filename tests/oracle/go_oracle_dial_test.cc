// SPDX-License-Identifier: Apache-2.0
// Dials, as Go's has them. They run in namespaces of their own, in which a DNS server of ours answers; without the
// right to make these (root, or unprivileged user namespaces) it says so and exits with 77. docs/go.md has these
// scenarios in a table.
#include <stdexcept>

#include "dns_responder.h"
#include "oracle/comparison.h"
#include "support/deaf_listener.h"
#include "support/namespaces.h"
#include "support/reserved_port.h"
#include "support/temporary_file.h"

namespace conntrace::test {
namespace {

std::string https(const ScriptedServer& server) {
  std::string url = server.url();
  return url.starts_with("https") ? url : url.replace(0, 4, "https");
}

TEST_F(GoOracle, HappyEyeballsWithAHangingIpv6) {
  compare(
      [](Stage& stage) {
        const Served server(stage, answer_all);
        const DeafListener deaf(server.port());
        if (!deaf.works()) throw std::runtime_error("no IPv6 on loopback");
        const std::string url = "http://both.test:" + std::to_string(server.port()) + "/";
        Player& client = stage.use();
        client.get(1, url);
        client.get(2, url);
      },
      {.unordered = {{1, "connect_done tcp6 [::1]:A cancelled",
                      "Go: cancelled by a goroutine of its own, when the winner may already be in use"}}});
}

TEST_F(GoOracle, SecondAddressAfterARefusal) {
  compare([](Stage& stage) {
    const Served server(stage, answer_all);
    stage.use().get(1, "http://both.test:" + std::to_string(server.port()) + "/");
  });
}

TEST_F(GoOracle, NameFromDns) {
  compare([](Stage& stage) {
    const Served server(stage, answer_all);
    stage.use().get(1, "http://one.test:" + std::to_string(server.port()) + "/");
  });
}

TEST_F(GoOracle, Refused) {
  compare([](Stage& stage) {
    const ReservedPort nobody;
    stage.name_port(nobody.port());
    stage.use().get(1, nobody.url());
  });
}

TEST_F(GoOracle, NameThatDoesNotExist) {
  compare([](Stage& stage) { stage.use().get(1, "http://nowhere.test/"); });
}

TEST_F(GoOracle, Tls) {
  compare([](Stage& stage) {
    const Served server(stage, answer_all, true);
    TransportOptions options;
    options.tls.ca_file = server.certificate_file();
    Player& client = stage.use(options);
    client.get(1, server.url());
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, TlsFailure) {
  compare([](Stage& stage) {
    const Served server(stage, answer_all, true);
    const ScriptedServer other(answer_all, true);
    TransportOptions options;
    options.tls.ca_file = other.certificate_file();
    stage.use(options).get(1, server.url());
  });
}

TEST_F(GoOracle, TlsHandshakeEnds) {
  compare([](Stage& stage) {
    const Served server(stage, [](Peer& peer, int) {
      const std::string record = peer.read_bytes(5);  // its last two bytes: the length of the ClientHello that follows
      if (record.size() < 5) return;
      const auto byte = [&](std::size_t at) {
        return static_cast<std::size_t>(static_cast<unsigned char>(record[at]));
      };
      (void)peer.read_bytes(byte(3) << 8 | byte(4));  // what is left unread would make an RST of the end
    });
    stage.use().get(1, https(server));
  });
}

}  // namespace
}  // namespace conntrace::test

int main(int argc, char** argv) {
  using namespace conntrace;
  const test::TemporaryFile hosts("127.0.0.1 localhost both.test\n::1 both.test\n");
  const test::TemporaryFile resolver("nameserver 127.0.0.1\n");
  const test::TemporaryFile order("hosts: files dns\n");
  if (!test::enter_namespaces({{"/etc/hosts", hosts.path()},
                               {"/etc/resolv.conf", resolver.path()},
                               {"/etc/nsswitch.conf", order.path()}})) {
    std::perror("dials cannot be compared here: namespaces");
    return 77;
  }
  const auto names = example::DnsResponder::start({.port = 53, .names = {{"one.test", {"127.0.0.1"}}}});
  if (!names) {
    std::fprintf(stderr, "%s\n", names.error().message().c_str());
    return 1;
  }
  return test::run_with_oracle(argc, argv);
}
