// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "conntrace/event.h"
#include "timeline/request_state.h"

namespace conntrace::cli {

/// One question to one server, its repetitions and its answer.
struct DnsExchangeState {
  std::uint32_t pid = 0;
  std::uint32_t tid = 0;
  std::uint64_t cookie = 0;
  std::uint32_t id = 0;
  std::uint64_t first_sent_ns = 0;
  std::uint64_t last_sent_ns = 0;
  std::uint64_t answered_ns = 0;
  DnsExchange facts;  ///< its sent_ns is not filled
};

/// DNS packets that the kernel saw lately, and their joins.
class DnsTable {
 public:
  void query(const EventHeader& header, const DnsQueryInfo& info);
  /// False if the question was not seen; the answer is kept all the same.
  bool answer(const EventHeader& header, const DnsAnswerInfo& info);

  /// What the resolver's thread sent for this name while it looked it up; search domains count. Moments are relative to
  /// origin_ns.
  [[nodiscard]] std::vector<DnsExchange> of_lookup(const DialState& dial, std::uint64_t origin_ns) const;
  /// What the process asked shortly before the connect and was answered with this address.
  [[nodiscard]] std::vector<DnsExchange> of_address(std::uint32_t pid, std::string_view remote,
                                                    std::uint64_t connect_ns) const;

 private:
  /// The same question to the same server, sent and still open; null if there is none.
  template <class Info>
  [[nodiscard]] DnsExchangeState* newest_unanswered(const EventHeader& header, const Info& info);

  std::deque<DnsExchangeState> exchanges_;  ///< oldest first
};

}  // namespace conntrace::cli
