// SPDX-License-Identifier: Apache-2.0
#include "conntrace/client.h"

#include <utility>

namespace conntrace {

Client::Client(std::shared_ptr<Transport> transport, ClientOptions options)
    : transport_(std::move(transport)), options_(options) {}

RequestId Client::send(Request request, Completion done) {
  if (!request.timeout && options_.timeout.count() > 0) request.timeout = options_.timeout;
  return transport_->send(std::move(request), std::move(done));
}

std::future<Result<Response>> Client::send_async(Request request) {
  auto promise = std::make_shared<std::promise<Result<Response>>>();
  std::future<Result<Response>> future = promise->get_future();
  send(std::move(request), [promise](Result<Response> result) { promise->set_value(std::move(result)); });
  return future;
}

Result<Response> Client::send(Request request) { return send_async(std::move(request)).get(); }

Result<Response> Client::get(std::string url) { return send(Request{.url = std::move(url)}); }

}  // namespace conntrace
