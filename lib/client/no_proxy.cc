// SPDX-License-Identifier: Apache-2.0
#include "client/no_proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "http/syntax.h"
#include "http/target.h"

namespace conntrace::client {
namespace {

constexpr std::size_t kMappedPrefix = 12;
constexpr unsigned kMappedBits = kMappedPrefix * 8;

bool is_mapped(const IpAddress& address) {
  constexpr std::array<std::uint8_t, kMappedPrefix> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

bool is_loopback(const IpAddress& address) {
  constexpr std::uint8_t kLoopbackNet = 127;
  constexpr IpAddress kLoopback6 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return address == kLoopback6 || (is_mapped(address) && address[kMappedPrefix] == kLoopbackNet);
}

bool in_network(const IpAddress& address, const IpAddress& network, unsigned prefix_bits) {
  const std::size_t bytes = prefix_bits / 8;
  if (!std::equal(network.begin(), network.begin() + static_cast<std::ptrdiff_t>(bytes), address.begin())) return false;
  const unsigned rest = prefix_bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (network[bytes] & mask) == (address[bytes] & mask);
}

/// host:port or [host]:port taken apart; without a port it is all host. IPv6 needs brackets to have a port.
std::pair<std::string_view, std::string_view> split_port(std::string_view entry) {
  const std::size_t colon = entry.rfind(':');
  if (colon == std::string_view::npos) return {entry, {}};
  if (entry.front() == '[') {
    const std::size_t close = entry.find(']');
    if (close == std::string_view::npos) return {entry, {}};
    return {entry.substr(1, close - 1), colon == close + 1 ? entry.substr(colon + 1) : std::string_view()};
  }
  if (entry.find(':') != colon) return {entry, {}};
  return {entry.substr(0, colon), entry.substr(colon + 1)};
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
  const std::string copy(text.substr(0, text.find('%')));
  IpAddress address{};
  if (inet_pton(AF_INET6, copy.c_str(), address.data()) == 1) return address;
  in_addr four{};
  if (inet_pton(AF_INET, copy.c_str(), &four) != 1) return std::nullopt;
  address = {};
  address[kMappedPrefix - 2] = address[kMappedPrefix - 1] = 0xff;
  std::memcpy(address.data() + kMappedPrefix, &four, sizeof four);
  return address;
}

NoProxy::NoProxy(std::string_view list) {
  http::split(list, ',', [this](std::string_view entry) {
    if (!entry.empty()) add(entry);
  });
}

void NoProxy::add(std::string_view entry) {
  if (entry == "*") {
    all_ = true;
    return;
  }
  if (const std::size_t slash = entry.find('/'); slash != std::string_view::npos) {
    const auto address = parse_ip(entry.substr(0, slash));
    const std::string_view bits = entry.substr(slash + 1);
    unsigned prefix = 0;
    const auto [end, problem] = std::from_chars(bits.data(), bits.data() + bits.size(), prefix);
    const bool four = entry.find(':') == std::string_view::npos;
    const bool number = problem == std::errc() && end == bits.data() + bits.size() && prefix <= (four ? 32U : 128U);
    if (address && number) networks_.push_back({*address, prefix + (four ? kMappedBits : 0)});
    return;
  }
  const auto [host, port] = split_port(entry);
  if (host.empty()) return;
  if (const auto address = parse_ip(host)) {
    addresses_.push_back({*address, std::string(port)});
    return;
  }
  const auto name = http::ascii_host(host.starts_with("*.") ? host.substr(1) : host);
  if (!name || name->empty()) return;
  const bool subdomains_alone = name->front() == '.';
  domains_.push_back({subdomains_alone ? *name : "." + *name, !subdomains_alone, std::string(port)});
}

bool NoProxy::matches(std::string_view host, std::uint16_t port) const {
  if (host == "localhost") return true;
  const auto address = parse_ip(host);
  if (address && is_loopback(*address)) return true;
  if (all_) return true;
  const std::string port_text = std::to_string(port);
  const auto port_fits = [&port_text](const std::string& wanted) { return wanted.empty() || wanted == port_text; };
  if (address) {
    return std::any_of(
               networks_.begin(), networks_.end(),
               [&](const Network& network) { return in_network(*address, network.address, network.prefix_bits); }) ||
           std::any_of(addresses_.begin(), addresses_.end(),
                       [&](const Address& other) { return other.address == *address && port_fits(other.port); });
  }
  return std::any_of(domains_.begin(), domains_.end(), [&](const Domain& domain) {
    const bool fits = host.ends_with(domain.suffix) || (domain.itself && host == domain.suffix.substr(1));
    return fits && port_fits(domain.port);
  });
}

}  // namespace conntrace::client
