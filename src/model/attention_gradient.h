// Causal grouped-query attention over one sequence from its start, forward and backward, in FP32.
#pragma once
#include <span>
#include <vector>

#include "model/model.h"

namespace aquatint::model {

class AttentionGradient {
 public:
  AttentionGradient(const Config& config, int64_t layer, const Backend& backend)
      : config_(config), window_(config.windows[static_cast<size_t>(layer)]), backend_(backend) {}

  // `qkv` is [rows][q_width + 2 · kv_width], heads normed and turned; `out` is [rows][q_width].
  void forward(std::span<const float> qkv, int64_t rows, std::span<float> out);
  // With the same qkv: from the loss's gradient by `out` to the one by qkv, which is overwritten.
  void backward(std::span<const float> qkv, std::span<const float> by_out, std::span<float> by_qkv) const;

 private:
  struct Head;  // one query head's values
  Head gather(std::span<const float> qkv, int64_t head) const;
  void softmax(float* scores) const;

  const Config& config_;
  int64_t window_;  // 0: none
  const Backend& backend_;
  int64_t rows_ = 0;
  std::vector<float> weights_;  // [heads][rows][rows], 0 where a token does not see another
};

}  // namespace aquatint::model
