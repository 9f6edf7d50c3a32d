// The numbers that define a decoder, read from config.json and checked once.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/rotations.h"

namespace aquatint::model {

struct Config {
  std::string model_type;    // "llama", "mistral", "qwen2", "qwen3"
  std::string architecture;  // "LlamaForCausalLM", …
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, layers = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t max_positions = 0;
  // By layer. > 0: a token sees itself and the window − 1 tokens before it; 0: everything before it.
  std::vector<int64_t> windows;
  float rms_eps = 0;
  bool tied_embeddings = false;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;              // RMSNorm over head_dim on q and k before rope
  std::vector<float> rope_inv_freq;  // head_dim / 2, scaling applied
  float rope_attention_factor = 1;   // multiplies cos and sin
  Rotations rotations;
  std::vector<int32_t> eos_ids;
  int32_t bos_id = -1;  // -1: none

  int64_t q_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
};

// `where` names the file in errors. Throws BadInput for an unknown architecture or contradicting numbers.
Config parse_config(const base::Json& config, const std::string& where);

}  // namespace aquatint::model
