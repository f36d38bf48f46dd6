// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "timeline/model.h"

namespace conntrace::cli {

inline constexpr std::size_t kMaxTimelineLine = 8192;  ///< rsyslog cuts longer lines

/// How much of lists and texts is kept.
struct Cut {
  std::size_t list;
  std::size_t text;
};
/// From gentle to harsh. With the last one any timeline fits: its size is bounded by the model, not by the input.
inline constexpr Cut kCuts[] = {{32, 2048}, {16, 1024}, {8, 512}, {4, 256}, {3, 128}, {2, 64}, {1, 32}};

inline void shorten(std::string& text, const Cut& cut) {
  if (text.size() <= cut.text) return;
  std::size_t end = cut.text - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  text.resize(end);
  text += "...";
}
inline void shorten(Unavailable& reasons, const Cut& cut) {
  for (auto& [path, why] : reasons) shorten(why, cut);
}
template <class T>
requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void shorten(T&, const Cut&) {}
template <class T>
requires requires { T::fields(); }
void shorten(T& record, const Cut& cut);
template <class T>
void shorten(std::optional<T>& maybe, const Cut& cut) {
  if (maybe) shorten(*maybe, cut);
}
/// Lists in time order keep their end, since the recent is asked for most; the others their beginning, where the
/// largest share and the first address are.
template <class T>
void shorten(std::vector<T>& list, const Cut& cut) {
  constexpr bool by_time = std::is_same_v<T, ConnectionUseSpan> || std::is_same_v<T, IdleGap>;
  // Phases (nine at most) and sources (four) are the timeline itself.
  constexpr bool whole = std::is_same_v<T, PhaseTimeline> || std::is_same_v<T, Source>;
  if (!whole && list.size() > cut.list) {
    if constexpr (by_time) {
      list.erase(list.begin(), list.end() - static_cast<std::ptrdiff_t>(cut.list));
    } else {
      list.resize(cut.list);
    }
  }
  for (T& item : list) shorten(item, cut);
}
template <class T>
requires requires { T::fields(); }
void shorten(T& record, const Cut& cut) {
  if constexpr (std::is_same_v<T, HolderShare>) return;  // ids are short by construction
  for_each_field<T>([&](const auto& field) { shorten(record.*field.member, cut); });
  if constexpr (std::is_same_v<T, PhaseTimeline>) {
    std::visit(
        [&]<class Facts>(Facts& facts) {
          if constexpr (!std::is_same_v<Facts, std::monostate>) shorten(facts, cut);
        },
        record.facts);
  }
}

}  // namespace conntrace::cli
