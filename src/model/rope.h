// Rotary position embedding: the inverse frequencies that config.json asks for. Su et al., arXiv 2104.09864.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace aquatint::model {

struct Rope {
  std::vector<float> inv_freq;  // head_dim / 2
  float attention_factor = 1;   // multiplies cos and sin
};

// Reads `rope_parameters`, or the older `rope_theta` with `rope_scaling`. Types default, linear, llama3 and
// yarn; BadInput for any other.
Rope read_rope(const base::Json& config, const std::string& where, int64_t head_dim, int64_t max_positions);

}  // namespace aquatint::model
