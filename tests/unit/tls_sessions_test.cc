// SPDX-License-Identifier: Apache-2.0
#include "transport/tls_sessions.h"

#include <gtest/gtest.h>

namespace conntrace::transport {
namespace {

TlsSession session(int version) {
  TlsSession made(SSL_SESSION_new());
  SSL_SESSION_set_protocol_version(made.get(), version);
  const unsigned char id[] = {1, 2, 3};
  SSL_SESSION_set1_id(made.get(), id, sizeof id);
  return made;
}

TEST(TlsSessions, Tls13IsGivenOnceTheNewestFirst) {
  TlsSessions sessions(10);
  TlsSession first = session(TLS1_3_VERSION);
  TlsSession second = session(TLS1_3_VERSION);
  const SSL_SESSION* newest = second.get();
  sessions.put("a", std::move(first));
  sessions.put("a", std::move(second));
  EXPECT_EQ(sessions.take("b"), nullptr);
  EXPECT_EQ(sessions.take("a").get(), newest);
  EXPECT_NE(sessions.take("a"), nullptr);
  EXPECT_EQ(sessions.take("a"), nullptr);
}

TEST(TlsSessions, Tls12Stays) {
  TlsSessions sessions(10);
  sessions.put("a", session(TLS1_2_VERSION));
  EXPECT_NE(sessions.take("a"), nullptr);
  EXPECT_NE(sessions.take("a"), nullptr);
  sessions.forget("a");
  EXPECT_EQ(sessions.take("a"), nullptr);
}

TEST(TlsSessions, AreBoundedTheLeastRecentlyUsedGoes) {
  TlsSessions sessions(2);
  sessions.put("a", session(TLS1_2_VERSION));
  sessions.put("b", session(TLS1_2_VERSION));
  EXPECT_NE(sessions.take("a"), nullptr);
  sessions.put("c", session(TLS1_2_VERSION));
  EXPECT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions.take("b"), nullptr);
  EXPECT_NE(sessions.take("a"), nullptr);
}

TEST(TlsSessions, OneNameDoesNotTakeAllThePlaces) {
  TlsSessions sessions(100);
  sessions.put("b", session(TLS1_3_VERSION));
  for (int i = 0; i < 20; ++i) sessions.put("a", session(TLS1_3_VERSION));
  EXPECT_EQ(sessions.size(), 1 + TlsSessions::kPerKey);
  EXPECT_NE(sessions.take("b"), nullptr);
}

TEST(TlsSessions, NoneAreKeptWithoutRoom) {
  TlsSessions sessions(0);
  sessions.put("a", session(TLS1_2_VERSION));
  EXPECT_EQ(sessions.size(), 0u);
}

}  // namespace
}  // namespace conntrace::transport
