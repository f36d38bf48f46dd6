// SPDX-License-Identifier: Apache-2.0
#include "conntrace/cookie_jar.h"

#include <algorithm>
#include <mutex>
#include <tuple>
#include <unordered_map>

#include "client/public_suffix.h"
#include "client/set_cookie.h"
#include "http/syntax.h"
#include "http/target.h"

namespace conntrace {
namespace {

using client::SetCookie;
using std::chrono::sys_seconds;

/// What a request's URL means for cookies.
struct Place {
  std::string host;
  std::string path;  ///< without the query
  bool is_address = false;
  bool secure = false;
  std::string site;  ///< whose cookies are counted together
};

std::optional<Place> place_of(const std::string& url) {
  auto target = http::parse_target(url);
  if (!target) return std::nullopt;
  Place place{.host = std::move(target->host), .is_address = target->is_address, .secure = target->scheme == "https"};
  if (place.host.ends_with('.')) place.host.pop_back();
  place.path = target->path.substr(0, target->path.find('?'));
  place.site = client::registrable_domain(place.host, place.is_address);
  return place;
}

/// RFC 6265bis section 5.1.3.
bool domain_matches(std::string_view host, std::string_view domain, bool is_address) {
  if (host == domain) return true;
  return !is_address && host.size() > domain.size() && host.ends_with(domain) &&
         host[host.size() - domain.size() - 1] == '.';
}

/// RFC 6265bis section 5.1.4.
bool path_matches(std::string_view request, std::string_view cookie) {
  if (!request.starts_with(cookie)) return false;
  return request.size() == cookie.size() || cookie.ends_with('/') || request[cookie.size()] == '/';
}

std::string default_path(std::string_view path) {
  const std::size_t last = path.rfind('/');
  return last == std::string_view::npos || last == 0 ? "/" : std::string(path.substr(0, last));
}

bool has_prefix(std::string_view name, std::string_view prefix) {
  return http::iequals(name.substr(0, prefix.size()), prefix);
}

/// Whether a name promises what the cookie does not keep (section 4.1.3).
bool breaks_promise(const Cookie& cookie, bool root_path_given) {
  constexpr std::string_view kSecure = "__Secure-";
  constexpr std::string_view kHost = "__Host-";
  // Without a name it would be sent as its value alone, which may look like one.
  if (cookie.name.empty()) return has_prefix(cookie.value, kSecure) || has_prefix(cookie.value, kHost);
  if (has_prefix(cookie.name, kSecure)) return !cookie.secure;
  if (has_prefix(cookie.name, kHost)) return !cookie.secure || !cookie.host_only || !root_path_given;
  return false;
}

struct StoredCookie : Cookie {
  std::uint64_t created = 0;  ///< the order, not the time: clocks are set back
  std::uint64_t used = 0;
};
using Site = std::vector<StoredCookie>;

bool expired(const Cookie& cookie, sys_seconds now) { return cookie.expires && *cookie.expires <= now; }

/// The order in which cookies make room.
auto eviction_rank(const StoredCookie& cookie) { return std::tuple(cookie.secure, cookie.used); }

}  // namespace

class CookieJar::Impl {
 public:
  explicit Impl(CookieJarOptions options) : options_(std::move(options)) {}

  std::size_t set(const std::string& url, const Headers& response) {
    std::size_t accepted = 0;
    std::optional<Place> place;
    for (const auto& [name, value] : response) {
      if (!http::iequals(name, "set-cookie")) continue;
      if (!place) place = place_of(url);
      if (!place) return 0;
      const std::lock_guard lock(mutex_);
      const sys_seconds time = now();
      if (const auto parsed = client::parse_set_cookie(value, time); parsed && store(*place, *parsed, time)) ++accepted;
    }
    return accepted;
  }

  std::string get(const std::string& url) {
    const std::optional<Place> place = place_of(url);
    if (!place) return {};
    const std::lock_guard lock(mutex_);
    const auto site = sites_.find(place->site);
    if (site == sites_.end()) return {};
    std::vector<StoredCookie*> chosen;
    const sys_seconds time = now();
    for (StoredCookie& cookie : site->second) {
      const bool host = cookie.host_only ? cookie.domain == place->host
                                         : domain_matches(place->host, cookie.domain, place->is_address);
      if (host && path_matches(place->path, cookie.path) && (place->secure || !cookie.secure) &&
          !expired(cookie, time)) {
        chosen.push_back(&cookie);
      }
    }
    std::sort(chosen.begin(), chosen.end(), [](const StoredCookie* a, const StoredCookie* b) {
      return a->path.size() != b->path.size() ? a->path.size() > b->path.size() : a->created < b->created;
    });
    std::string text;
    for (StoredCookie* cookie : chosen) {
      cookie->used = ++clock_;
      if (!text.empty()) text += "; ";
      if (!cookie->name.empty()) text.append(cookie->name).append("=");
      text += cookie->value;
    }
    return text;
  }

  std::vector<Cookie> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<Cookie> result;
    for (const auto& [name, site] : sites_) {
      std::copy_if(site.begin(), site.end(), std::back_inserter(result),
                   [time = now()](const Cookie& cookie) { return !expired(cookie, time); });
    }
    return result;
  }

  void clear() {
    const std::lock_guard lock(mutex_);
    sites_.clear();
    total_ = 0;
  }

 private:
  [[nodiscard]] sys_seconds now() const {
    return options_.now ? options_.now() : std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  }

  bool store(const Place& place, const SetCookie& parsed, sys_seconds time) {
    auto cookie = judge(place, parsed);
    if (!cookie) return false;
    Site& site = sites_[place.site];
    if (!place.secure && shadows_secure(site, *cookie)) {
      drop_if_empty(place.site);
      return false;
    }
    const auto same = std::find_if(site.begin(), site.end(), [&](const StoredCookie& other) {
      return other.name == cookie->name && other.domain == cookie->domain && other.path == cookie->path &&
             other.host_only == cookie->host_only;
    });
    cookie->created = cookie->used = ++clock_;
    if (same != site.end()) {
      cookie->created = same->created;
      *same = std::move(*cookie);
    } else {
      site.push_back(std::move(*cookie));
      ++total_;
    }
    make_room(place.site, time);
    return true;
  }

  /// The cookie as it would be stored; nothing: it is refused (RFC 6265bis section 5.7).
  [[nodiscard]] static std::optional<StoredCookie> judge(const Place& place, const SetCookie& parsed) {
    StoredCookie cookie;
    cookie.name = parsed.name;
    cookie.value = parsed.value;
    cookie.secure = parsed.secure;
    cookie.http_only = parsed.http_only;
    cookie.same_site = parsed.same_site;
    cookie.expires = parsed.expires;
    cookie.path = parsed.path.empty() ? default_path(place.path) : parsed.path;
    cookie.domain = place.host;
    if (!parsed.domain.empty() && parsed.domain != place.host) {
      if (!domain_matches(place.host, parsed.domain, place.is_address) || client::is_public_suffix(parsed.domain)) {
        return std::nullopt;
      }
      cookie.domain = parsed.domain;
      cookie.host_only = false;
    } else if (!parsed.domain.empty() && !place.is_address) {
      // For itself and its subdomains, unless it is a public suffix: then for itself alone.
      cookie.host_only = client::is_public_suffix(place.host);
    }
    if (cookie.secure && !place.secure) return std::nullopt;
    if (cookie.same_site == SameSite::none && !cookie.secure) return std::nullopt;
    const bool for_host_alone = parsed.domain.empty() && parsed.path == "/";
    if (breaks_promise(cookie, for_host_alone)) return std::nullopt;
    return cookie;
  }

  /// Whether a cookie that came over http would hide a secure one of the same name.
  [[nodiscard]] static bool shadows_secure(const Site& site, const Cookie& cookie) {
    return std::any_of(site.begin(), site.end(), [&](const StoredCookie& other) {
      return other.secure && other.name == cookie.name && path_matches(cookie.path, other.path) &&
             (domain_matches(cookie.domain, other.domain, false) || domain_matches(other.domain, cookie.domain, false));
    });
  }

  void make_room(const std::string& name, sys_seconds time) {
    Site& site = sites_[name];
    drop_expired(site, time);
    while (site.size() > options_.max_per_site) evict_from(site);
    drop_if_empty(name);
    if (total_ <= options_.max_total) return;
    for (auto& entry : sites_) drop_expired(entry.second, time);
    std::erase_if(sites_, [](const auto& entry) { return entry.second.empty(); });
    while (total_ > options_.max_total) evict_from_all();
  }

  void evict_from(Site& site) {
    site.erase(std::min_element(site.begin(), site.end(),
                                [](const auto& a, const auto& b) { return eviction_rank(a) < eviction_rank(b); }));
    --total_;
  }

  void evict_from_all() {
    std::pair<const std::string, Site>* worst = nullptr;
    auto lowest = std::tuple(true, ~std::uint64_t{0});
    for (auto& entry : sites_) {
      for (const StoredCookie& cookie : entry.second) {
        if (eviction_rank(cookie) > lowest) continue;
        lowest = eviction_rank(cookie);
        worst = &entry;
      }
    }
    if (worst == nullptr) return;
    evict_from(worst->second);
    if (worst->second.empty()) sites_.erase(std::string(worst->first));
  }

  void drop_expired(Site& site, sys_seconds time) {
    total_ -= std::erase_if(site, [time](const StoredCookie& cookie) { return expired(cookie, time); });
  }

  void drop_if_empty(const std::string& name) {
    const auto site = sites_.find(name);
    if (site != sites_.end() && site->second.empty()) sites_.erase(site);
  }

  const CookieJarOptions options_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Site> sites_;
  std::size_t total_ = 0;
  std::uint64_t clock_ = 0;
};

CookieJar::CookieJar(CookieJarOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
CookieJar::~CookieJar() = default;
std::size_t CookieJar::set_cookies(const std::string& url, const Headers& response) {
  return impl_->set(url, response);
}
std::string CookieJar::cookies_for(const std::string& url) { return impl_->get(url); }
std::vector<Cookie> CookieJar::cookies() const { return impl_->all(); }
void CookieJar::clear() { impl_->clear(); }

}  // namespace conntrace
