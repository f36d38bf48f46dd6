// SPDX-License-Identifier: Apache-2.0
#include "conntrace/client.h"

#include <utility>

#include "client/body_pipe.h"
#include "client/client_run.h"

namespace conntrace {

Client::Client(std::shared_ptr<Transport> transport, ClientOptions options)
    : transport_(std::move(transport)), options_(std::make_shared<const ClientOptions>(std::move(options))) {}

RequestId Client::send(Request request, Completion done) {
  return std::make_shared<client::ClientRun>(*transport_, options_, std::move(request), std::move(done))->begin();
}

std::future<Result<Response>> Client::send_async(Request request) {
  auto promise = std::make_shared<std::promise<Result<Response>>>();
  std::future<Result<Response>> future = promise->get_future();
  send(std::move(request), [promise](Result<Response> result) { promise->set_value(std::move(result)); });
  return future;
}

Result<Response> Client::send(Request request) { return send_async(std::move(request)).get(); }

Result<OpenResponse> Client::open(Request request) {
  auto pipe = std::make_shared<BodyReader::Pipe>(*transport_);
  request.on_head = [pipe, decide = std::move(request.on_head)](const Response& head) {
    const HeadAction action = decide ? decide(head) : HeadAction::take;
    pipe->on_head(head);
    return action;
  };
  request.on_body = [pipe](std::string_view piece) { return pipe->on_body(piece); };
  send(std::move(request), [pipe](Result<Response> result) { pipe->on_done(std::move(result)); });
  BodyReader body(transport_, pipe);
  auto head = pipe->head();
  if (!head) return Failure(std::move(head).error());
  return OpenResponse{*std::move(head), std::move(body)};
}

Result<Response> Client::get(std::string url) { return send(Request{.url = std::move(url)}); }

}  // namespace conntrace
