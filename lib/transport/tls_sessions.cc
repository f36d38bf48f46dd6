// SPDX-License-Identifier: Apache-2.0
#include "transport/tls_sessions.h"

#include <algorithm>
#include <utility>

namespace conntrace::transport {

void TlsSessions::put(const std::string& key, TlsSession session) {
  if (max_ == 0 || session == nullptr || SSL_SESSION_is_resumable(session.get()) == 0) return;
  sessions_.push_front({key, std::move(session)});
  std::size_t of_key = 0;
  for (auto entry = sessions_.begin(); entry != sessions_.end();) {
    const bool surplus = entry->key == key && ++of_key > kPerKey;
    entry = surplus ? sessions_.erase(entry) : std::next(entry);
  }
  if (sessions_.size() > max_) sessions_.pop_back();
}

TlsSession TlsSessions::take(const std::string& key) {
  const auto found =
      std::find_if(sessions_.begin(), sessions_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (found == sessions_.end()) return nullptr;
  if (SSL_SESSION_get_protocol_version(found->session.get()) == TLS1_3_VERSION) {
    TlsSession session = std::move(found->session);
    sessions_.erase(found);
    return session;
  }
  sessions_.splice(sessions_.begin(), sessions_, found);
  SSL_SESSION_up_ref(found->session.get());
  return TlsSession(found->session.get());
}

void TlsSessions::forget(const std::string& key) {
  sessions_.remove_if([&](const Entry& entry) { return entry.key == key; });
}

}  // namespace conntrace::transport
