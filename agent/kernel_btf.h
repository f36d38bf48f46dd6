// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "conntrace/error.h"

struct btf;

namespace conntrace::agent {

/// What the running kernel's type information says of its tracepoints and functions.
class KernelBtf {
 public:
  /// Errors: ENOENT if the kernel was built without BTF.
  [[nodiscard]] static Result<KernelBtf> load();

  /// Whether the place that a program's section names exists here. Sections other than tp_btf, fentry and fexit name
  /// places that only an attempt to attach can tell of.
  [[nodiscard]] bool has(std::string_view section) const;
  /// Number of arguments of a tracepoint; nothing if there is no such tracepoint.
  [[nodiscard]] std::optional<unsigned> tracepoint_arguments(std::string_view tracepoint) const;

 private:
  struct Free {
    void operator()(btf* object) const noexcept;
  };
  explicit KernelBtf(btf* object) : btf_(object) {}
  std::unique_ptr<btf, Free> btf_;
};

}  // namespace conntrace::agent
