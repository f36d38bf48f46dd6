// SPDX-License-Identifier: Apache-2.0
#include "agent/dns_message.h"

#include <arpa/nameser.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <resolv.h>

#include <random>

namespace conntrace::agent {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes header(std::uint8_t flags_high, std::uint8_t flags_low, std::uint8_t questions, std::uint8_t answers,
             std::uint8_t additional = 0) {
  return {0x12, 0x34, flags_high, flags_low, 0, questions, 0, answers, 0, 0, 0, additional};
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

const Bytes kName = {3, 'A', 'p', 'i', 4, 't', 'e', 's', 't', 0};
const Bytes kQuestion = kName + Bytes{0, 1, 0, 1};
const Bytes kCname = {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12};
const Bytes kAddress = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1};
const Bytes kAddress6 = {0xc0, 12,   0, 28, 0, 1, 0, 0, 0, 9, 0, 16, 0x20, 1,
                         0xd,  0xb8, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,  0,    1};

TEST(DnsMessage, QuestionAsLibresolvWritesIt) {
  struct __res_state state {};
  ASSERT_EQ(res_ninit(&state), 0);
  Bytes bytes(512);
  const int length = res_nmkquery(&state, ns_o_query, "WWW.Example.Test.", ns_c_in, ns_t_aaaa, nullptr, 0, nullptr,
                                  bytes.data(), static_cast<int>(bytes.size()));
  res_nclose(&state);
  ASSERT_GT(length, 0);
  bytes.resize(static_cast<std::size_t>(length));
  const auto message = parse_dns(bytes);
  ASSERT_TRUE(message) << message.error().message();
  EXPECT_EQ(message->id, bytes[0] << 8 | bytes[1]);
  EXPECT_FALSE(message->response);
  EXPECT_EQ(message->name, "www.example.test");
  EXPECT_EQ(message->type, "AAAA");
}

TEST(DnsMessage, AnswerGivesAddressesOnly) {
  const auto message = parse_dns(header(0x81, 0x80, 1, 3) + kQuestion + kCname + kAddress + kAddress6);
  ASSERT_TRUE(message) << message.error().message();
  EXPECT_TRUE(message->response);
  EXPECT_FALSE(message->truncated);
  EXPECT_EQ(message->id, 0x1234);
  EXPECT_EQ(message->name, "api.test");
  EXPECT_EQ(message->type, "A");
  EXPECT_EQ(message->rcode, "NOERROR");
  EXPECT_THAT(message->addresses, testing::ElementsAre("192.0.2.1", "2001:db8::1"));
}

TEST(DnsMessage, CodesAndFlags) {
  EXPECT_EQ(parse_dns(header(0x81, 0x83, 1, 0) + kQuestion)->rcode, "NXDOMAIN");
  EXPECT_EQ(parse_dns(header(0x81, 0x8f, 1, 0) + kQuestion)->rcode, "RCODE15");
  EXPECT_TRUE(parse_dns(header(0x83, 0x80, 1, 0) + kQuestion)->truncated);
  const Bytes edns = {0, 0, 41, 4, 0xd0, 1, 0, 0, 0, 0, 0};  // extended code 1: 16 with the header's 0
  EXPECT_EQ(parse_dns(header(0x81, 0x80, 1, 0, 1) + kQuestion + edns)->rcode, "BADVERS");
}

TEST(DnsMessage, UnassignedTypeHasItsNumber) {
  EXPECT_EQ(parse_dns(header(1, 0, 1, 0) + kName + Bytes{0xff, 0x00, 0, 1})->type, "TYPE65280");
}

TEST(DnsMessage, AnswerWithoutQuestionHasNoName) {
  const auto message = parse_dns(header(0x81, 0x81, 0, 0));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->name, "");
  EXPECT_EQ(message->rcode, "FORMERR");
}

TEST(DnsMessage, OddBytesInNamesAreEscaped) {
  const auto message = parse_dns(header(1, 0, 1, 0) + Bytes{4, 'a', '"', '\n', '.', 0, 0, 1, 0, 1});
  ASSERT_TRUE(message);
  EXPECT_EQ(message->name, R"(a\"\010\.)");
}

TEST(DnsMessage, WhatIsCutAnywhereIsRefused) {
  const Bytes whole = header(0x81, 0x80, 1, 3) + kQuestion + kCname + kAddress + kAddress6;
  ASSERT_TRUE(parse_dns(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(parse_dns({whole.data(), length})) << length;
  }
}

TEST(DnsMessage, LoopsAndLiesAreRefused) {
  EXPECT_FALSE(parse_dns(header(1, 0, 1, 0) + Bytes{0xc0, 12, 0, 1, 0, 1}));            // a name that is itself
  EXPECT_FALSE(parse_dns(header(1, 0, 1, 0) + Bytes{0xc0, 0xff, 0, 1, 0, 1}));          // a name beyond the end
  EXPECT_FALSE(parse_dns(header(1, 0, 2, 0) + kQuestion + kQuestion));                  // two questions
  EXPECT_FALSE(parse_dns(header(0x81, 0x80, 1, 200) + kQuestion + kAddress));           // answers that are not there
  EXPECT_FALSE(parse_dns(header(1, 0, 1, 0) + kQuestion + Bytes{'r', 'e', 's', 't'}));  // bytes behind the message
  // An address record of another length is no address.
  const Bytes short_address = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 3, 192, 0, 2};
  const auto message = parse_dns(header(0x81, 0x80, 1, 1) + kQuestion + short_address);
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->addresses.empty());
}

// Under ASan and UBSan: whatever the network sends, no crash, and names stay printable.
TEST(DnsMessage, RandomBytesDoNoHarm) {
  std::mt19937 random(53);
  const Bytes whole = header(0x81, 0x80, 1, 3) + kQuestion + kCname + kAddress + kAddress6;
  for (int round = 0; round < 200'000; ++round) {
    Bytes bytes = whole;
    for (unsigned change = random() % 4; change < 4; ++change)
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    bytes.resize(bytes.size() - random() % 3);
    const auto message = parse_dns(bytes);
    if (!message) continue;
    for (const char c : message->name) EXPECT_TRUE(c > ' ' && c < 0x7f);
    EXPECT_LE(message->addresses.size(), bytes.size() / 12);
  }
}

}  // namespace
}  // namespace conntrace::agent
