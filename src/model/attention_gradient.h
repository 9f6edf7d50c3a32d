// Causal grouped-query attention over one sequence from its start, forward and backward, in FP32.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "model/model.h"

namespace aquatint::model {

class AttentionGradient {
 public:
  AttentionGradient(const Config& config, int64_t layer, const Backend& backend)
      : config_(config),
        window_(config.windows[static_cast<size_t>(layer)]),
        scale_(1 / std::sqrt(static_cast<float>(config.head_dim))),
        backend_(backend) {}

  // `qkv` is [rows][q_width + 2 · kv_width], heads normed and turned; `out` is [rows][q_width].
  void forward(std::span<const float> qkv, int64_t rows, std::span<float> out);
  // With the same qkv: from the loss's gradient by `out` to the one by qkv, which is overwritten.
  void backward(std::span<const float> qkv, std::span<const float> by_out, std::span<float> by_qkv) const;

 private:
  struct Head {
    int64_t q, k, v;  // its first columns in qkv
  };
  Head head(int64_t index) const;
  int64_t qkv_width() const { return config_.q_width() + 2 * config_.kv_width(); }
  int64_t first_seen(int64_t row) const { return window_ > 0 ? std::max<int64_t>(0, row - window_ + 1) : 0; }
  void softmax_backward(const float* p, int64_t row, int64_t count, float* by) const;
  void backward_head(std::span<const float> qkv, std::span<const float> by_out, int64_t index,
                     std::span<float> by_qkv, float* by_k, float* by_v) const;

  const Config& config_;
  int64_t window_;  // 0: none
  float scale_;     // of scores
  const Backend& backend_;
  int64_t rows_ = 0;
  std::vector<float> weights_;  // [heads][rows][rows], as far as any row of a row's block sees
};

}  // namespace aquatint::model
