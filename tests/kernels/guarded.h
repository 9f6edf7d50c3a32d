// An output buffer at a chosen misalignment, with known values around it that a kernel must not change.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "kernels/ops.h"

namespace aquatint::kernels {

class Guarded {
 public:
  Guarded(int64_t count, int64_t misalignment = 0)
      : count_(count),
        begin_(kGuard + misalignment),
        values_(static_cast<size_t>(begin_ + count + kGuard), kMark) {
    std::fill_n(data(), count, std::nanf(""));
  }
  float* data() { return values_.data() + begin_; }
  float operator[](int64_t i) const { return values_[static_cast<size_t>(begin_ + i)]; }
  void expect_intact() const {
    for (size_t i = 0; i < values_.size(); ++i) {
      const auto at = static_cast<int64_t>(i) - begin_;
      if ((at < 0 || at >= count_) && values_[i] != kMark) {
        ADD_FAILURE() << "wrote " << values_[i] << " at " << at << " of " << count_;
        return;
      }
    }
  }

 private:
  static constexpr int64_t kGuard = 64;
  static constexpr float kMark = 12345.75f;
  int64_t count_, begin_;
  std::vector<float> values_;
};

// Reports the element whose error is worst in units of its bound.
class Worst {
 public:
  void see(int64_t at, double got, double want, double bound) {
    const double error = std::isnan(got) ? HUGE_VAL : std::fabs(got - want);
    const double ratio = error == 0 ? 0 : error / bound;
    if (ratio > ratio_) *this = {ratio, at, got, want, bound};
  }
  void expect_within(const std::string& where) const {
    EXPECT_LE(ratio_, 1) << where << ": element " << at_ << " is " << got_ << ", want " << want_ << " ± "
                         << bound_;
  }
  double ratio() const { return ratio_; }
  Worst() = default;

 private:
  Worst(double ratio, int64_t at, double got, double want, double bound)
      : ratio_(ratio), at_(at), got_(got), want_(want), bound_(bound) {}
  double ratio_ = 0;
  int64_t at_ = 0;
  double got_ = 0, want_ = 0, bound_ = 0;
};

// The amx set over a model of its tile unit; null where AVX-512 is missing (modelled_amx_test.cc).
const KernelSet* modelled_amx();

inline std::vector<const KernelSet*> usable_sets() {
  std::vector<const KernelSet*> sets;
  for (const KernelSet* set : kernel_sets())
    if (set->usable()) sets.push_back(set);
  return sets;
}

// Those, and the modelled one.
inline std::vector<const KernelSet*> cpu_sets() {
  std::vector<const KernelSet*> sets = usable_sets();
  if (modelled_amx()) sets.push_back(modelled_amx());
  return sets;
}

// Of those, the ones of which no earlier set has the same of all these operations.
template <class... Operation>
std::vector<const KernelSet*> sets_with_own(Operation KernelSet::*... operation) {
  std::vector<const KernelSet*> own;
  for (const KernelSet* set : cpu_sets()) {
    const auto same = [&](const KernelSet* other) { return ((set->*operation == other->*operation) && ...); };
    if (std::none_of(own.begin(), own.end(), same)) own.push_back(set);
  }
  return own;
}

}  // namespace aquatint::kernels
