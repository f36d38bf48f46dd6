// SPDX-License-Identifier: Apache-2.0
#include "pool/slab.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>
#include <vector>

namespace {
long blocks = 0;
}  // namespace

// Counts what this program has allocated; the sanitizers' own allocator is below malloc and keeps working.
void* operator new(std::size_t size) {
  ++blocks;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  if (memory != nullptr) --blocks;
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  if (memory != nullptr) --blocks;
  std::free(memory);
}

namespace conntrace::pool {
namespace {

struct Record {
  explicit Record(int what) : number(what) { ++alive; }
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;
  ~Record() { --alive; }
  int number;
  std::string text = std::string(100, 'x');
  char bulk[900] = {};
  static inline int alive = 0;
};

TEST(Slab, RecordsStayWhereTheyAreWhileOthersComeAndGo) {
  Slab<Record> slab;
  std::vector<Slab<Record>::Ptr> records;
  std::vector<Record*> places;
  for (int i = 0; i < 1000; ++i) {
    records.push_back(slab.make(i));
    places.push_back(records.back().get());
  }
  for (int i = 0; i < 1000; i += 3) records[i].reset();
  for (int i = 0; i < 1000; i += 3) records[i] = slab.make(i);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(records[i]->number, i);
    EXPECT_EQ(records[i]->text.size(), 100u);
    if (i % 3 != 0) {
      EXPECT_EQ(records[i].get(), places[i]);
    }
  }
  EXPECT_EQ(Record::alive, 1000);
  records.clear();
  EXPECT_EQ(Record::alive, 0);
}

TEST(Slab, TheMemoryOfOneThatWentIsThatOfTheNext) {
  Slab<Record> slab;
  auto first = slab.make(1);
  auto second = slab.make(2);
  const Record* const place = second.get();
  const long before = blocks;
  for (int i = 0; i < 1000; ++i) {
    second.reset();
    second = slab.make(i);
    ASSERT_EQ(second.get(), place);
  }
  EXPECT_EQ(blocks, before);
}

TEST(Slab, ChunksThatHoldNothingAreGivenBackButForOne) {
  std::vector<Slab<Record>::Ptr> records;
  records.reserve(10'000);
  const long before = blocks;
  {
    Slab<Record> slab;
    const auto fill = [&] {
      while (records.size() < 10'000) records.push_back(slab.make(0));
    };
    fill();
    const long full = blocks - before;
    EXPECT_GT(full, 10'000 + 100) << "a text each, and many chunks";
    EXPECT_LT(full, 10'000 + 2'000) << "not a block for each record";
    while (records.size() > 5'000) records.pop_back();
    EXPECT_LT(blocks - before, full - 5'000 - 50) << "half of the chunks are gone";
    records.clear();
    EXPECT_LE(blocks - before, 2) << "the list of chunks, and one";
    fill();
    records.clear();
  }
  EXPECT_EQ(blocks, before);
}

}  // namespace
}  // namespace conntrace::pool
