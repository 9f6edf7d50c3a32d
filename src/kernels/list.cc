// The only place that knows all kernel sets.
#include <array>
#include <string>

#include "base/error.h"
#include "kernels/cpu/sets.h"
#include "kernels/cpu_features.h"
#include "kernels/ops.h"
#include "kernels/ref/ref.h"

namespace aquatint::kernels {
namespace {

#if defined(__x86_64__) && !defined(AQUATINT_PORTABLE)
constexpr std::array kSets = {&amx::set_of_kernels,  &avx512_bf16::set_of_kernels, &avx512::set_of_kernels,
                              &avx2::set_of_kernels, &scalar::set_of_kernels,      &ref::set};
#else
constexpr std::array kSets = {&scalar::set_of_kernels, &ref::set};
#endif

std::string lacking(const KernelSet& set) {
  std::string names;
  for (std::string_view need : set.needs)
    if (!cpu_has(need)) names += fmt::format("{}{}", names.empty() ? "" : ", ", need);
  return names;
}

std::string usable_names() {
  std::string names = "auto";
  for (const KernelSet* set : kSets)
    if (set->usable()) names += fmt::format(", {}", set->name);
  return names;
}

}  // namespace

bool KernelSet::usable() const { return lacking(*this).empty(); }

std::span<const KernelSet* const> kernel_sets() { return kSets; }

const KernelSet& kernel_set(std::string_view name) {
  for (const KernelSet* set : kSets) {
    if (name == "auto" && set->usable() && (!set->worthwhile || set->worthwhile())) return *set;
    if (name != set->name) continue;
    if (!set->usable())
      throw base::BadUsage(fmt::format("--kernels {}: this machine lacks {}; choose one of: {}", name,
                                       lacking(*set), usable_names()));
    return *set;
  }
  throw base::BadUsage(fmt::format("--kernels {}: unknown; choose one of: {}", name, usable_names()));
}

}  // namespace aquatint::kernels
