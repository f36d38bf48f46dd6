// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <resolv.h>
#include <unistd.h>

#include <thread>

#include "conntrace/clock.h"
#include "dns_server.h"
#include "sockets.h"
#include "watch.h"

namespace conntrace::bpftest {
namespace {

std::uint64_t now_ns() { return static_cast<std::uint64_t>(mono_now().count()); }

/// In a network namespace of its own, where port 53 is free.
class Dns : public testing::Test {
 protected:
  static void SetUpTestSuite() { enter_new_netns(); }
};

/// glibc's resolver, which nobody here wrote, asking only our server.
class Resolver {
 public:
  explicit Resolver(const DnsServer& server) {
    if (res_ninit(&state_) != 0) throw std::runtime_error("res_ninit");
    state_.nscount = 1;
    state_.nsaddr_list[0] = server.address();
    state_.retry = 1;
    state_.options &= ~static_cast<unsigned long>(RES_DNSRCH | RES_DEFNAMES);
  }
  ~Resolver() { res_nclose(&state_); }
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  void over_tcp() { state_.options |= RES_USEVC; }
  /// Id of the answer; -1 without an answer section.
  int ask(const char* name, ns_type type) {
    unsigned char answer[4096];
    const int length = res_nquery(&state_, name, ns_c_in, type, answer, sizeof answer);
    return length < 12 ? -1 : answer[0] << 8 | answer[1];
  }

 private:
  struct __res_state state_ {};
};

struct Exchange {
  const Event* query;
  const DnsQueryInfo* asked;
  const Event* answer;
  const DnsAnswerInfo* answered;
};

Exchange exchange(Watch& watch, std::string_view name, std::string_view type) {
  Exchange found{};
  found.query = watch.wait("dns_query", [&](const Event& event) {
    const auto* info = get_if<EventKind::dns_query>(event);
    return info != nullptr && info->name == name && info->type == type;
  });
  found.answer = watch.wait("dns_answer", [&](const Event& event) {
    const auto* info = get_if<EventKind::dns_answer>(event);
    return info != nullptr && info->name == name && info->type == type;
  });
  if (found.query == nullptr || found.answer == nullptr) throw std::runtime_error("no exchange");
  found.asked = get_if<EventKind::dns_query>(*found.query);
  found.answered = get_if<EventKind::dns_answer>(*found.answer);
  return found;
}

TEST_F(Dns, QuestionAndAnswerAreJoinedToTheThreadThatAsked) {
  DnsServer server;
  Watch watch;
  std::uint32_t tid = 0;
  int id = 0;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  std::thread([&] {
    tid = static_cast<std::uint32_t>(gettid());
    Resolver resolver(server);
    before = now_ns();
    id = resolver.ask("WWW.Example.test", ns_t_a);
    after = now_ns();
  }).join();
  ASSERT_GE(id, 0);
  const Exchange seen = exchange(watch, "www.example.test", "A");
  EXPECT_EQ(seen.query->header.pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(seen.query->header.tid, tid);
  EXPECT_EQ(seen.query->header.start_time_ns, start_time_of_self());
  EXPECT_EQ(seen.query->header.netns, netns_of_thread());
  EXPECT_NE(seen.query->header.cookie, 0u);
  EXPECT_EQ(seen.asked->id, static_cast<std::uint32_t>(id));
  EXPECT_EQ(seen.asked->server, server.name());
  EXPECT_EQ(seen.asked->transport, DnsTransport::udp);
  EXPECT_EQ(seen.asked->comm, comm_of_thread());
  EXPECT_EQ(seen.answer->header.pid, seen.query->header.pid);
  EXPECT_EQ(seen.answer->header.tid, tid);
  EXPECT_EQ(seen.answer->header.cookie, seen.query->header.cookie);
  EXPECT_EQ(seen.answer->header.netns, seen.query->header.netns);
  EXPECT_EQ(seen.answered->id, seen.asked->id);
  EXPECT_EQ(seen.answered->server, server.name());
  EXPECT_EQ(seen.answered->rcode, "NOERROR");
  EXPECT_THAT(seen.answered->answers, testing::ElementsAre(Text("192.0.2.7")));
  EXPECT_FALSE(seen.answered->answers_truncated);
  ASSERT_TRUE(seen.answered->latency_ns);
  EXPECT_EQ(*seen.answered->latency_ns, seen.answer->header.mono_ns - seen.query->header.mono_ns);
  EXPECT_GT(seen.query->header.mono_ns, before);
  EXPECT_LT(seen.answer->header.mono_ns, after);
}

TEST_F(Dns, SecondQuestionOfASocketHasItsOwnAnswer) {
  DnsServer server;
  Watch watch;
  Resolver resolver(server);
  ASSERT_GE(resolver.ask("both.test", ns_t_a), 0);
  ASSERT_GE(resolver.ask("both.test", ns_t_aaaa), 0);
  const Exchange four = exchange(watch, "both.test", "A");
  const Exchange six = exchange(watch, "both.test", "AAAA");
  EXPECT_THAT(four.answered->answers, testing::ElementsAre(Text("192.0.2.7")));
  EXPECT_THAT(six.answered->answers, testing::ElementsAre(Text("2001:db8::7")));
  EXPECT_TRUE(four.answered->latency_ns);
  EXPECT_TRUE(six.answered->latency_ns);
}

TEST_F(Dns, NameThatDoesNotExist) {
  DnsServer server;
  Watch watch;
  Resolver resolver(server);
  EXPECT_EQ(resolver.ask("nx.test", ns_t_a), -1);
  const Exchange seen = exchange(watch, "nx.test", "A");
  EXPECT_EQ(seen.answered->rcode, "NXDOMAIN");
  EXPECT_TRUE(seen.answered->answers.empty());
}

TEST_F(Dns, OverTcp) {
  DnsServer server;
  Watch watch;
  Resolver resolver(server);
  resolver.over_tcp();
  ASSERT_GE(resolver.ask("tcp.test", ns_t_a), 0);
  const Exchange seen = exchange(watch, "tcp.test", "A");
  EXPECT_EQ(seen.asked->transport, DnsTransport::tcp);
  EXPECT_EQ(seen.answered->transport, DnsTransport::tcp);
  EXPECT_EQ(seen.query->header.tid, static_cast<std::uint32_t>(gettid()));
  EXPECT_THAT(seen.answered->answers, testing::ElementsAre(Text("192.0.2.7")));
}

std::vector<unsigned char> question(const char* name) {
  struct __res_state state {};
  std::vector<unsigned char> message(512);
  if (res_ninit(&state) != 0) throw std::runtime_error("res_ninit");
  const int length = res_nmkquery(&state, ns_o_query, name, ns_c_in, ns_t_a, nullptr, 0, nullptr, message.data(), 512);
  res_nclose(&state);
  message.resize(static_cast<std::size_t>(length));
  return message;
}

TEST_F(Dns, SocketThatIsNotConnectedIsOwnedToo) {
  DnsServer server;
  Watch watch;
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto message = question("sendto.test");
  const sockaddr_in to = server.address();
  ASSERT_GT(sendto(socket.get(), message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
            0);
  char answer[512];
  ASSERT_GT(recv(socket.get(), answer, sizeof answer, 0), 0);
  const Exchange seen = exchange(watch, "sendto.test", "A");
  EXPECT_EQ(seen.query->header.cookie, cookie_of(socket));
  EXPECT_EQ(seen.answer->header.cookie, cookie_of(socket));
  EXPECT_EQ(seen.query->header.tid, static_cast<std::uint32_t>(gettid()));
}

TEST_F(Dns, SocketThatWasThereBeforeIsAdopted) {
  DnsServer server;
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in to = server.address();
  ASSERT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  Watch watch;
  const auto message = question("before.test");
  ASSERT_GT(send(socket.get(), message.data(), message.size(), 0), 0);
  const Exchange seen = exchange(watch, "before.test", "A");
  EXPECT_EQ(seen.query->header.cookie, cookie_of(socket));
  EXPECT_EQ(seen.query->header.tid, static_cast<std::uint32_t>(gettid()));
  EXPECT_EQ(seen.query->header.netns, netns_of_thread());
}

TEST_F(Dns, GarbageIsCountedAndNotBelieved) {
  DnsServer server;
  Watch watch;
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in to = server.address();
  ASSERT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  auto message = question("garbage.test");
  message.resize(message.size() - 6);  // ends in the middle of the question
  ASSERT_GT(send(socket.get(), message.data(), message.size(), 0), 0);
  watch.drain();
  ASSERT_EQ(watch.count(EventKind::dns_query), 0u) << watch.dump();
  ASSERT_EQ(watch.count(EventKind::gap), 1u) << watch.dump();
  const auto* gap = get_if<EventKind::gap>(watch.events().back());
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->reason, GapReason::malformed);
  EXPECT_EQ(gap->where, "dns");
  EXPECT_EQ(gap->lost, 1u);
}

TEST_F(Dns, NetworkNamespaceIsTheSockets) {
  Watch watch;
  std::uint64_t netns = 0;
  std::thread([&netns] {
    enter_new_netns();
    netns = netns_of_thread();
    DnsServer server;
    Resolver resolver(server);
    EXPECT_GE(resolver.ask("elsewhere.test", ns_t_a), 0);
  }).join();
  const Exchange seen = exchange(watch, "elsewhere.test", "A");
  EXPECT_NE(netns, netns_of_thread());
  EXPECT_EQ(seen.query->header.netns, netns);
}

}  // namespace
}  // namespace conntrace::bpftest
