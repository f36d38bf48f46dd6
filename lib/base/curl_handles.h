// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <curl/curl.h>

#include <memory>

#include "base/owned.h"

namespace conntrace {

using CurlEasy = Owned<CURL, curl_easy_cleanup>;
using CurlMulti = Owned<CURLM, curl_multi_cleanup>;
using CurlShare = Owned<CURLSH, curl_share_cleanup>;
using CurlList = Owned<curl_slist, curl_slist_free_all>;
using CurlUrl = Owned<CURLU, curl_url_cleanup>;
using CurlText = Owned<char, curl_free>;

}  // namespace conntrace
