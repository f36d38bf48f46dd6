// SPDX-License-Identifier: Apache-2.0
// The files in docs/ are what is generated; CONNTRACE_ACCEPT=1 rewrites them.
#include "render/schema.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "timeline/codes.h"

namespace conntrace::cli {
namespace {

std::filesystem::path docs_folder() {
  const char* folder = std::getenv("CONNTRACE_DOCS");
  return folder != nullptr ? folder : "docs";
}

std::string content_of(const char* name) {
  std::ifstream file(docs_folder() / name);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

void expect_committed(const char* name, const std::string& generated) {
  if (std::getenv("CONNTRACE_ACCEPT") != nullptr) {
    std::ofstream(docs_folder() / name) << generated;
    GTEST_SKIP() << "rewritten: " << name;
  }
  EXPECT_TRUE(content_of(name) == generated)
      << "docs/" << name << " is not what is generated; CONNTRACE_ACCEPT=1 rewrites it";
}

TEST(Schema, events_are_committed) { expect_committed("event.schema.json", event_schema()); }
TEST(Schema, timelines_are_committed) { expect_committed("timeline.schema.json", timeline_schema()); }
TEST(Schema, statistics_are_committed) { expect_committed("stats.schema.json", stats_schema()); }
TEST(Schema, events_page_is_committed) { expect_committed("events.md", events_markdown()); }

TEST(Schema, each_finding_has_its_section) {
  const std::string page = content_of("findings.md");
  for (const std::string_view code : Names<FindingCode>::list)
    EXPECT_NE(page.find("\n## " + std::string(code) + "\n"), std::string::npos) << code;
}

}  // namespace
}  // namespace conntrace::cli
