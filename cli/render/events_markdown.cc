// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <map>
#include <string>
#include <type_traits>

#include "conntrace/event.h"
#include "render/schema.h"

namespace conntrace::cli {
namespace {

template <class T>
concept Record = requires {
  T::fields();
};
template <class T>
concept Wraps = !std::is_same_v<T, Text> && requires {
  typename T::value_type;
};

/// What the page still has to explain: name -> its section.
struct Glossary {
  std::map<std::string, std::string> words;
  std::map<std::string, std::string> records;
};

template <class E>
std::string word_list() {
  std::string out;
  for (std::size_t i = 0; i < Names<E>::list.size(); ++i) {
    out += fmt::format("- `{}`", Names<E>::list[i]);
    if (!Names<E>::meanings[i].empty()) out += fmt::format(": {}", Names<E>::meanings[i]);
    out += '\n';
  }
  return out;
}

template <Record T>
std::string field_table(Glossary& glossary);

template <class T>
std::string type_name(Glossary& glossary) {
  if constexpr (Wraps<T>) {
    const std::string inner = type_name<std::remove_cv_t<typename T::value_type>>(glossary);
    const bool optional = requires(T maybe) { maybe.has_value(); };
    return optional ? inner : "list of " + inner;
  } else if constexpr (std::is_same_v<T, bool>) {
    return "true or false";
  } else if constexpr (std::is_enum_v<T>) {
    const std::string name(Names<T>::type);
    glossary.words[name] = word_list<T>();
    return fmt::format("[{}](#{})", name, [&] {
      std::string anchor = name;
      for (char& c : anchor) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      return anchor;
    }());
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::is_floating_point_v<T> ? "number" : "integer";
  } else if constexpr (Record<T>) {
    const std::string name = std::is_same_v<T, Holder> ? "Holder" : "Candidate";
    glossary.records[name] = field_table<T>(glossary);
    return fmt::format("[{}](#{})", name, std::is_same_v<T, Holder> ? "holder" : "candidate");
  } else {
    return "text";
  }
}

template <Record T>
std::string field_table(Glossary& glossary) {
  std::string rows;
  for_each_field<T>([&]<class Struct, class Value>(const Field<Struct, Value>& field) {
    rows += fmt::format("| `{}` | {} | {} |\n", field.name, type_name<Value>(glossary), field.meaning);
  });
  return rows.empty() ? std::string() : "| field | type | meaning |\n| --- | --- | --- |\n" + rows;
}

std::string_view origin_text(std::string_view origin) {
  if (origin == "HOOK") return "library";
  return origin == "KERNEL" ? "kernel" : "any source";
}

}  // namespace

std::string events_markdown() {
  Glossary glossary;
  std::string out =
      "<!-- Generated from lib/include/conntrace/vocabulary.h and the payload structs; `CONNTRACE_ACCEPT=1` with the "
      "test schema_test rewrites it. -->\n\n# Event records\n\n"
      "One JSON object per line. A field that is empty or not known is left out; 0 and false are written. "
      "Kinds and fields that a reader does not know are skipped. docs/event.schema.json is the same as a JSON "
      "Schema.\n\n"
      "Of the changes of direction on a connection the agent tells the first send, the first receive, and those after "
      "a pause of 1 ms or more (tcp_send, tcp_recv): in a busy conversation most are left out.\n\n"
      "## Fields of every record\n\nBesides `kind`; a header field that is 0 is left out.\n\n";
  out += field_table<EventHeader>(glossary);
  out += "\n## Kinds\n";
#define CONNTRACE_ROW(name, payload, origin, meaning)                                     \
  out += fmt::format("\n### {}\n\n{} From: {}.\n", #name, meaning, origin_text(#origin)); \
  if (const std::string table = field_table<payload>(glossary); !table.empty()) out += '\n' + table;
  CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
  out += "\n## Records in lists\n";
  for (const auto& [name, table] : glossary.records) out += fmt::format("\n### {}\n\n{}", name, table);
  out += "\n## Words\n";
  for (const auto& [name, list] : glossary.words) out += fmt::format("\n### {}\n\n{}", name, list);
  return out;
}

}  // namespace conntrace::cli
