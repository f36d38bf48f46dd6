// SPDX-License-Identifier: Apache-2.0
#include "transport/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/owned.h"

namespace conntrace::transport {
namespace {

using AddressList = Owned<addrinfo, freeaddrinfo>;

std::string address_text(const addrinfo& info) {
  std::array<char, NI_MAXHOST> text{};
  if (getnameinfo(info.ai_addr, info.ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) return {};
  return text.data();
}

Error lookup_error(int code, int error_number, const std::string& host) {
  if (code == EAI_SYSTEM) return system_error(error_number, "lookup " + host, Phase::dns);
  return make_error(Errc::name_not_resolved, "lookup " + host + " (" + gai_strerror(code) + ")", Phase::dns);
}

Resolved resolve(const std::string& host) {
  Resolved result;
  result.tid = static_cast<std::uint32_t>(gettid());
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  result.start = mono_now();
  const int code = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  const int error_number = errno;
  result.end = mono_now();
  const AddressList list(found);
  if (code != 0) {
    result.error = lookup_error(code, error_number, host);
    return result;
  }
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    std::string text = address_text(*info);
    const bool known = std::find(result.addresses.begin(), result.addresses.end(), text) != result.addresses.end();
    if (!text.empty() && !known) result.addresses.push_back(std::move(text));
  }
  if (result.addresses.empty()) result.error = lookup_error(EAI_NODATA, 0, host);
  return result;
}

}  // namespace

Resolver::Resolver(EventLoop& loop, WorkerPoolOptions workers)
    : loop_(loop), workers_(std::make_unique<WorkerPool>(std::move(workers))) {}

Resolver::~Resolver() = default;

void Resolver::lookup(const std::string& host, Callback done) {
  std::vector<Callback>& callbacks = waiting_[host];
  callbacks.push_back(std::move(done));
  if (callbacks.size() > 1) return;
  const auto accepted = workers_->submit([this, host] {
    Resolved resolved = resolve(host);
    loop_.post([this, host, resolved = std::move(resolved)] { finish(host, resolved); });
  });
  if (accepted) return;
  Resolved refused;
  refused.start = refused.end = mono_now();
  refused.error = make_error(Errc::queue_full, "lookup " + host + ": too many lookups wait", Phase::dns);
  loop_.post([this, host, refused = std::move(refused)] { finish(host, refused); });
}

void Resolver::finish(const std::string& host, const Resolved& resolved) {
  auto node = waiting_.extract(host);
  if (node.empty()) return;
  bool coalesced = false;
  for (const Callback& callback : node.mapped()) {
    callback(resolved, coalesced);
    coalesced = true;
  }
}

}  // namespace conntrace::transport
