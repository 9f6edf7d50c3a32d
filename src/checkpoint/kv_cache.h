// What a checkpoint says of the cache of keys and values: in compressed-tensors' kv_cache_scheme, or, for
// what other readers do not run, in our own record in config.json.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "numeric/kv_scheme.h"

namespace aquatint::checkpoint {

// nullopt when it says nothing. A scheme that is not run is a warning and nothing. BadInput for malformed
// words.
std::optional<numeric::KvScheme> kv_scheme(const Checkpoint& model);

// The calibrated scales of one layer.
struct KvScales {
  float key = 0, value = 0;
};
// 1, with a warning, for a tensor that is missing, as vLLM has it. BadInput unless they are positive and
// finite.
KvScales kv_scales(const Checkpoint& model, int64_t layer);

// "model.layers.3.self_attn.k_scale"
std::string kv_scale_name(int64_t layer, char key_or_value);
bool is_kv_scale(std::string_view name);

// compressed-tensors' kv_cache_scheme: null for what its readers do not run.
base::Json ct_kv_cache(const numeric::KvScheme* scheme);
// Our own record's.
base::Json own_kv_cache(const numeric::KvScheme& scheme);

}  // namespace aquatint::checkpoint
