// SPDX-License-Identifier: Apache-2.0
#include "support/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "base/owned.h"

namespace conntrace::test {
namespace {

using PrivateKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using Certificate = Owned<X509, X509_free>;

Certificate make_certificate(EVP_PKEY* key, const std::string& common_name, const std::string& alternative_names) {
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24 * 3600);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(common_name.c_str()), -1,
                             -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative_names.c_str());
  X509_add_ext(certificate.get(), names, -1);
  X509_EXTENSION_free(names);
  X509_sign(certificate.get(), key, EVP_sha256());
  return certificate;
}

int choose(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char*, unsigned, void* protocol) {
  if (protocol == nullptr) return SSL_TLSEXT_ERR_ALERT_FATAL;
  const std::string_view name = *static_cast<const std::string_view*>(protocol);
  *out = reinterpret_cast<const unsigned char*>(name.data());
  *out_size = static_cast<unsigned char>(name.size());
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Identity make_identity(const std::string& common_name, const std::string& alternative_names) {
  const PrivateKey key(EVP_EC_gen("P-256"));
  const Certificate certificate = make_certificate(key.get(), common_name, alternative_names);
  const auto text = [](const auto& write) {
    const Owned<BIO, BIO_free_all> bio(BIO_new(BIO_s_mem()));
    write(bio.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<std::size_t>(size));
  };
  return {text([&](BIO* bio) { PEM_write_bio_X509(bio, certificate.get()); }),
          text([&](BIO* bio) { PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr); })};
}

ssl_ctx_st* make_server_context(std::string& certificate_file, Alpn alpn) {
  const PrivateKey key(EVP_EC_gen("P-256"));
  const Certificate certificate = make_certificate(key.get(), "localhost", "DNS:localhost,IP:127.0.0.1");
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context, certificate.get());
  SSL_CTX_use_PrivateKey(context, key.get());
  static std::string_view http1 = "http/1.1";
  static std::string_view h2 = "h2";
  std::string_view* protocol = alpn == Alpn::http1 ? &http1 : alpn == Alpn::h2 ? &h2 : nullptr;
  if (alpn != Alpn::none) SSL_CTX_set_alpn_select_cb(context, choose, protocol);
  char path[] = "/tmp/conntrace-test-XXXXXX";
  const int fd = mkstemp(path);
  FILE* file = fdopen(fd, "w");
  PEM_write_X509(file, certificate.get());
  fclose(file);
  certificate_file = path;
  return context;
}

}  // namespace conntrace::test
