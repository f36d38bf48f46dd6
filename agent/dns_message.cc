// SPDX-License-Identifier: Apache-2.0
#include "agent/dns_message.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <resolv.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace conntrace::agent {
namespace {

// IANA "DNS RCODEs"; an empty name is not assigned.
constexpr std::array<std::string_view, 12> kRcodes = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                                      "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                                      "NXRRSET", "NOTAUTH", "NOTZONE",  "DSOTYPENI"};

std::string rcode_name(unsigned code) {
  if (code < kRcodes.size()) return std::string(kRcodes[code]);
  if (code == 16) return "BADVERS";
  return fmt::format("RCODE{}", code);
}

std::string type_name(unsigned type) {
  struct Name {
    unsigned type;
    std::string_view name;
  };
  // IANA "Resource Record (RR) TYPEs" that stub resolvers ask for.
  static constexpr std::array kNames = {Name{1, "A"},      Name{2, "NS"},     Name{5, "CNAME"},   Name{6, "SOA"},
                                        Name{12, "PTR"},   Name{15, "MX"},    Name{16, "TXT"},    Name{28, "AAAA"},
                                        Name{33, "SRV"},   Name{35, "NAPTR"}, Name{39, "DNAME"},  Name{43, "DS"},
                                        Name{44, "SSHFP"}, Name{46, "RRSIG"}, Name{48, "DNSKEY"}, Name{52, "TLSA"},
                                        Name{64, "SVCB"},  Name{65, "HTTPS"}, Name{255, "ANY"},   Name{257, "CAA"}};
  const auto* found = std::find_if(kNames.begin(), kNames.end(), [type](const Name& row) { return row.type == type; });
  return found == kNames.end() ? fmt::format("TYPE{}", type) : std::string(found->name);
}

/// libresolv writes names in presentation form, printable ASCII.
std::string plain_name(std::string_view name) {
  std::string plain(name);
  const bool escaped = plain.size() > 1 && plain[plain.size() - 2] == '\\';
  if (!plain.empty() && plain.back() == '.' && !escaped) plain.pop_back();
  std::transform(plain.begin(), plain.end(), plain.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return plain;
}

void add_address(const ns_rr& record, std::vector<std::string>& addresses) {
  if (ns_rr_class(record) != ns_c_in) return;
  const bool four = ns_rr_type(record) == ns_t_a && ns_rr_rdlen(record) == 4;
  const bool six = ns_rr_type(record) == ns_t_aaaa && ns_rr_rdlen(record) == 16;
  if (!four && !six) return;
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(four ? AF_INET : AF_INET6, ns_rr_rdata(record), text, sizeof text);
  addresses.emplace_back(text);
}

}  // namespace

Result<DnsMessage> parse_dns(std::span<const std::uint8_t> bytes) {
  ns_msg handle;
  if (bytes.size() > NS_MAXMSG || ns_initparse(bytes.data(), static_cast<int>(bytes.size()), &handle) != 0) {
    return Failure(make_error(Errc::bad_record, "not a DNS message"));
  }
  if (ns_msg_count(handle, ns_s_qd) > 1) return Failure(make_error(Errc::bad_record, "more than one DNS question"));
  DnsMessage message{.id = static_cast<std::uint16_t>(ns_msg_id(handle)),
                     .response = ns_msg_getflag(handle, ns_f_qr) != 0,
                     .truncated = ns_msg_getflag(handle, ns_f_tc) != 0};
  auto rcode = static_cast<unsigned>(ns_msg_getflag(handle, ns_f_rcode));
  ns_rr record;
  if (ns_msg_count(handle, ns_s_qd) == 1) {
    if (ns_parserr(&handle, ns_s_qd, 0, &record) != 0) return Failure(make_error(Errc::bad_record, "DNS question"));
    message.name = plain_name(ns_rr_name(record));
    message.type = type_name(ns_rr_type(record));
  }
  for (int i = 0; i < ns_msg_count(handle, ns_s_an); ++i) {
    if (ns_parserr(&handle, ns_s_an, i, &record) != 0) return Failure(make_error(Errc::bad_record, "DNS answer"));
    add_address(record, message.addresses);
  }
  for (int i = 0; i < ns_msg_count(handle, ns_s_ar); ++i) {
    if (ns_parserr(&handle, ns_s_ar, i, &record) != 0) return Failure(make_error(Errc::bad_record, "DNS additional"));
    // EDNS carries the upper bits of the code (RFC 6891, 6.1.3).
    if (ns_rr_type(record) == ns_t_opt) rcode |= ns_rr_ttl(record) >> 24 << 4;
  }
  message.rcode = rcode_name(rcode);
  return message;
}

}  // namespace conntrace::agent
