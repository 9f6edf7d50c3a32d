// An architecture is a value: what a model_type means beyond the numbers that every decoder has. All of them
// share one decoder block; an architecture only sets its switches.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "model/config.h"

namespace aquatint::model {

struct Architecture {
  std::string_view model_type;  // config.json's word
  std::string_view class_name;  // the causal language model in config.json's `architectures`
  // What an absent key means (null always means the 0 case).
  int64_t default_kv_heads;  // 0: as many as heads
  int64_t default_head_dim;  // 0: hidden_size / heads
  // Sets biases, norms and windows from the architecture's own keys; the common numbers are already in `out`.
  void (*read_switches)(const base::Json& config, const std::string& where, Config& out);
};

extern const Architecture llama, mistral, qwen2, qwen3;

std::span<const Architecture* const> architectures();

// The window of each layer as Qwen writes it: `use_sliding_window` switches, `layer_types` or
// `max_window_layers` choose the layers, `sliding_window` is the size.
std::vector<int64_t> read_layer_windows(const base::Json& config, const std::string& where, int64_t layers);

}  // namespace aquatint::model
