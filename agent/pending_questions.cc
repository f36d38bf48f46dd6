// SPDX-License-Identifier: Apache-2.0
#include "agent/pending_questions.h"

#include <utility>

namespace conntrace::agent {

void PendingQuestions::ask(Key key, Asked asked) {
  const std::uint64_t number = ++asked_so_far_;
  order_.emplace_back(number, key);
  pending_.insert_or_assign(std::move(key), Entry{asked, number});
  while (order_.size() > kMost) {
    const auto& [oldest, of] = order_.front();
    const auto found = pending_.find(of);
    if (found != pending_.end() && found->second.number == oldest) pending_.erase(found);
    order_.pop_front();
  }
}

std::optional<PendingQuestions::Asked> PendingQuestions::answer(const Key& key) {
  const auto found = pending_.find(key);
  if (found == pending_.end()) return std::nullopt;
  const Asked asked = found->second.asked;
  pending_.erase(found);
  return asked;
}

}  // namespace conntrace::agent
