// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "conntrace/event.h"
#include "record/field_types.h"

namespace conntrace::testing {

/// Calls visit.operator()<kind>() for every row of the vocabulary.
template <class Visit>
void for_each_kind(Visit&& visit) {
#define CONNTRACE_ROW(name, payload, origin, meaning) visit.template operator()<EventKind::name>();
  CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
}

/// Makes events in which every field has a value that no other field has. Their views live as long as the filler.
class EventFiller {
 public:
  template <EventKind kind>
  Event event() {
    EventHeader header;
    fill_struct(header);
    PayloadOf<kind> payload;
    fill_struct(payload);
    if constexpr (kind == EventKind::stream_start) payload.schema = "conntrace.event/1";
    return make_event<kind>(header, payload);
  }

 private:
  template <class Struct>
  void fill_struct(Struct& to) {
    for_each_field<Struct>([&](const auto& field) { fill(to.*field.member); });
  }

  template <class Value>
  void fill(Value& to) {
    const unsigned number = ++next_;
    if constexpr (std::is_same_v<Value, bool>) {
      to = true;
    } else if constexpr (std::is_enum_v<Value>) {
      to = static_cast<Value>(Names<Value>::list.size() - 1 - number % (Names<Value>::list.size() - 1));
    } else if constexpr (std::is_floating_point_v<Value>) {
      to = 1.0 / number;
    } else if constexpr (std::is_same_v<Value, std::uint64_t>) {
      to = ~std::uint64_t{0} - number;  // only 64 bits hold it
    } else if constexpr (std::is_integral_v<Value>) {
      to = static_cast<Value>(number + 1'000'000'000);
    } else if constexpr (std::is_same_v<Value, Text>) {
      to = texts_.emplace_back("text \"" + std::to_string(number) + "\"\n\\ \xC3\xA9\x01");
    } else if constexpr (is_optional<Value>) {
      fill(to.emplace());
    } else if constexpr (is_list<Value>) {
      fill_list(to);
    } else {
      fill_struct(to);
    }
  }

  void fill_list(List<Text>& to) { to = filled(text_lists_); }
  void fill_list(List<Holder>& to) { to = filled(holder_lists_); }
  void fill_list(List<Candidate>& to) { to = filled(candidate_lists_); }
  void fill_list(List<CloseCount>& to) { to = filled(count_lists_); }
  void fill_list(List<FdClassCount>& to) { to = filled(fd_class_lists_); }

  template <class Item>
  List<Item> filled(std::deque<std::vector<Item>>& lists) {
    auto& list = lists.emplace_back(3);
    for (Item& item : list) fill(item);
    return list;
  }

  unsigned next_ = 0;
  std::deque<std::string> texts_;
  std::deque<std::vector<Text>> text_lists_;
  std::deque<std::vector<Holder>> holder_lists_;
  std::deque<std::vector<FdClassCount>> fd_class_lists_;
  std::deque<std::vector<Candidate>> candidate_lists_;
  std::deque<std::vector<CloseCount>> count_lists_;
};

template <class Value>
void expect_same(const Value& actual, const Value& expected, const std::string& where) {
  if constexpr (is_list<Value>) {
    ASSERT_EQ(actual.size(), expected.size()) << where;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      expect_same(actual[i], expected[i], where + "[" + std::to_string(i) + "]");
    }
  } else if constexpr (requires { Value::fields(); }) {
    for_each_field<Value>([&](const auto& field) {
      expect_same(actual.*field.member, expected.*field.member, where + "." + field.name);
    });
  } else {
    EXPECT_EQ(actual, expected) << where;
  }
}

/// Field by field, header included.
template <EventKind kind>
void expect_same_event(const Event& actual, const Event& expected) {
  const std::string where(to_string(kind));
  ASSERT_NE(get_if<kind>(actual), nullptr) << where << " has another kind";
  expect_same(actual.header, expected.header, where);
  expect_same(*get_if<kind>(actual), *get_if<kind>(expected), where);
}

}  // namespace conntrace::testing
