// SPDX-License-Identifier: Apache-2.0
#include "transport/certificate_facts.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "transport/socket_facts.h"

namespace conntrace::transport {
namespace {

constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxNames = 16;

using Bio = Owned<BIO, BIO_free_all>;
using GeneralNames = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;

std::string name_text(const X509_NAME* name) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  std::string text(data, static_cast<std::size_t>(size));
  if (text.size() > kMaxName) text.resize(kMaxName);
  return text;
}

std::string time_text(const ASN1_TIME* time) {
  std::tm utc{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &utc) != 1) return {};
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int size = ASN1_STRING_length(address);
  if (size != 4 && size != 16) return {};
  inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text.data(), text.size());
  return text.data();
}

std::string general_name_text(const GENERAL_NAME* name) {
  switch (name->type) {
    case GEN_IPADD: return address_text(name->d.iPAddress);
    case GEN_DNS:
    case GEN_URI:
    case GEN_EMAIL: break;
    default: return {};
  }
  const ASN1_IA5STRING* text = name->d.ia5;
  const auto size = static_cast<std::size_t>(ASN1_STRING_length(text));
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), std::min(size, kMaxName)};
}

std::vector<std::string> alternative_names(X509* certificate) {
  std::vector<std::string> names;
  const GeneralNames list(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; list != nullptr && i < sk_GENERAL_NAME_num(list.get()) && names.size() < kMaxNames; ++i) {
    std::string text = general_name_text(sk_GENERAL_NAME_value(list.get(), i));
    if (!text.empty()) names.push_back(std::move(text));
  }
  return names;
}

std::string fingerprint(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace

CertificateFacts certificate_facts(X509* certificate) {
  return {.subject = name_text(X509_get_subject_name(certificate)),
          .issuer = name_text(X509_get_issuer_name(certificate)),
          .names = alternative_names(certificate),
          .not_before = time_text(X509_get0_notBefore(certificate)),
          .not_after = time_text(X509_get0_notAfter(certificate)),
          .fingerprint = fingerprint(certificate)};
}

bool certificate_is_for(X509* certificate, const std::string& name) {
  if (is_ip_address(name)) return X509_check_ip_asc(certificate, name.c_str(), 0) == 1;
  return X509_check_host(certificate, name.data(), name.size(), 0, nullptr) == 1;
}

}  // namespace conntrace::transport
