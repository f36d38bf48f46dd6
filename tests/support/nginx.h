// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <sstream>
#include <string>

#include "support/certificate.h"
#include "support/peer_process.h"
#include "support/reserved_port.h"
#include "support/temporary_folder.h"

namespace conntrace::test {

/// nginx with one plain and one TLS port, and a log that says which connection carried which request.
class Nginx {
 public:
  /// One line of its log.
  struct Visit {
    std::uint64_t connection = 0;  ///< its own number for it
    std::uint64_t number = 0;      ///< of the request on it, from 1
    int status = 0;
    bool session_reused = false;  ///< TLS
  };

  Nginx() : process_({find_program("nginx"), "-p", folder_.path(), "-c", configure(), "-e", "stderr"}, port_.port()) {}

  [[nodiscard]] std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_.port()) + path;
  }
  [[nodiscard]] std::string secure_url(const std::string& path) const {
    return "https://localhost:" + std::to_string(tls_port_.port()) + path;
  }
  [[nodiscard]] std::string certificate_file() const { return folder_.path() + "/certificate.pem"; }
  [[nodiscard]] std::string log() const { return process_.log() + folder_.read("access.log"); }
  /// What its log says so far, by request URI.
  [[nodiscard]] std::map<std::string, Visit> visits() const {
    std::map<std::string, Visit> visits;
    std::istringstream log(folder_.read("access.log"));
    std::string uri;
    std::string session;
    for (Visit visit; log >> visit.connection >> visit.number >> visit.status >> session >> uri;) {
      visit.session_reused = session == "r";
      visits[uri] = visit;
    }
    return visits;
  }

 private:
  std::string configure() const {
    const Identity identity = make_identity();
    const std::string& at = folder_.path();
    folder_.write("certificate.pem", identity.certificate);
    folder_.write("key.pem", identity.key);
    folder_.write("large.txt", std::string(200'000, 'x'));
    std::string temporary;
    for (const char* what : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
      temporary += "  " + std::string(what) + "_temp_path " + at + "/" + what + ";\n";
    }
    // One process: nothing is left when it is killed, and root keeps to itself.
    return folder_.write("nginx.conf", "daemon off;\nmaster_process off;\nworker_processes 1;\npid " + at +
                                           "/pid;\nerror_log stderr;\nevents { worker_connections 64; }\nhttp {\n" +
                                           temporary +
                                           "  log_format visits '$connection $connection_requests $status "
                                           "$ssl_session_reused $request_uri';\n  access_log " +
                                           at + "/access.log visits;\n  ssl_certificate " + at +
                                           "/certificate.pem;\n  ssl_certificate_key " + at +
                                           "/key.pem;\n  ssl_session_cache shared:tests:1m;\n  gzip_types text/plain;\n"
                                           "  default_type text/plain;\n  server {\n    listen 127.0.0.1:" +
                                           std::to_string(port_.port()) + ";\n    listen 127.0.0.1:" +
                                           std::to_string(tls_port_.port()) + " ssl;\n    root " + at + ";\n" + R"(
    location / { return 200 "fine\n"; }
    location /few/ { keepalive_requests 3; return 200 "few\n"; }
    location /brief/ { keepalive_timeout 2s; return 200 "brief\n"; }
    location /announced/ { keepalive_timeout 60s 2s; return 200 "announced\n"; }
    location /never/ { keepalive_timeout 0; return 200 "never\n"; }
    location /large.txt { gzip on; }
    location /range/ { alias )" + at + R"(/; }
    location /small/ { client_max_body_size 1k; return 200 "small\n"; }
    location /dropped/ { return 444; }
  }
}
)");
  }

  const ReservedPort port_;
  const ReservedPort tls_port_;
  TemporaryFolder folder_;
  PeerProcess process_;
};

}  // namespace conntrace::test
