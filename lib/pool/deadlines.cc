// SPDX-License-Identifier: Apache-2.0
#include "pool/deadlines.h"

namespace conntrace::pool {
namespace {

/// The older connection first where times are equal: the order must not depend on the heap's past.
bool earlier(const Connection& a, const Connection& b) {
  return a.deadline != b.deadline ? a.deadline < b.deadline : a.id < b.id;
}

}  // namespace

void Deadlines::set(Connection& connection, MonoTime at) {
  if (connection.deadline_place == 0) {
    connection.deadline = at;
    heap_.push_back(nullptr);
    up(heap_.size() - 1, connection);
  } else if (at < connection.deadline) {
    connection.deadline = at;
    up(connection.deadline_place - 1, connection);
  }
}

void Deadlines::postpone(Connection& connection, MonoTime at) {
  connection.deadline = at;
  down(connection.deadline_place - 1, connection);
}

void Deadlines::remove(Connection& connection) {
  if (connection.deadline_place == 0) return;
  const std::size_t index = connection.deadline_place - 1;
  connection.deadline_place = 0;
  Connection& last = *heap_.back();
  heap_.pop_back();
  if (&last == &connection) return;
  if (earlier(last, connection)) {
    up(index, last);
  } else {
    down(index, last);
  }
}

void Deadlines::place(std::size_t index, Connection& connection) {
  heap_[index] = &connection;
  connection.deadline_place = index + 1;
}

void Deadlines::up(std::size_t index, Connection& connection) {
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (!earlier(connection, *heap_[parent])) break;
    place(index, *heap_[parent]);
    index = parent;
  }
  place(index, connection);
}

void Deadlines::down(std::size_t index, Connection& connection) {
  for (;;) {
    std::size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && earlier(*heap_[child + 1], *heap_[child])) ++child;
    if (!earlier(*heap_[child], connection)) break;
    place(index, *heap_[child]);
    index = child;
  }
  place(index, connection);
}

}  // namespace conntrace::pool
