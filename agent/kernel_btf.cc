// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel_btf.h"

#include <bpf/btf.h>
#include <unistd.h>

#include <cerrno>

namespace conntrace::agent {
namespace {

constexpr const char* kVmlinux = "/sys/kernel/btf/vmlinux";

}  // namespace

void KernelBtf::Free::operator()(btf* object) const noexcept { btf__free(object); }

Result<KernelBtf> KernelBtf::load() {
  if (access(kVmlinux, F_OK) != 0) {
    return Failure(system_error(ENOENT, std::string(kVmlinux) +
                                            ": this kernel has no BTF, which the BPF programs need; use a kernel built "
                                            "with CONFIG_DEBUG_INFO_BTF=y (Debian's and Ubuntu's are)"));
  }
  btf* object = btf__parse(kVmlinux, nullptr);
  if (object == nullptr) return Failure(system_error(errno, std::string("read ") + kVmlinux));
  return KernelBtf(object);
}

bool KernelBtf::has(std::string_view section) const {
  const auto slash = section.find('/');
  if (slash == std::string_view::npos) return true;
  const std::string_view kind = section.substr(0, slash);
  const std::string name(section.substr(slash + 1));
  if (kind == "tp_btf") return tracepoint_arguments(name).has_value();
  if (kind == "fentry" || kind == "fexit") return btf__find_by_name_kind(btf_.get(), name.c_str(), BTF_KIND_FUNC) > 0;
  return true;
}

std::optional<unsigned> KernelBtf::tracepoint_arguments(std::string_view tracepoint) const {
  // typedef void (*btf_trace_NAME)(void *, arguments…)
  const std::string name = "btf_trace_" + std::string(tracepoint);
  const int id = btf__find_by_name_kind(btf_.get(), name.c_str(), BTF_KIND_TYPEDEF);
  if (id <= 0) return std::nullopt;
  const btf_type* type = btf__type_by_id(btf_.get(), btf__type_by_id(btf_.get(), static_cast<__u32>(id))->type);
  if (type == nullptr || !btf_is_ptr(type)) return std::nullopt;
  type = btf__type_by_id(btf_.get(), type->type);
  if (type == nullptr || !btf_is_func_proto(type) || btf_vlen(type) == 0) return std::nullopt;
  return btf_vlen(type) - 1u;
}

}  // namespace conntrace::agent
