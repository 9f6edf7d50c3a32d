// A GGUF file in Hugging Face's words: config.json from its metadata, module names from its tensor names.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "checkpoint/gguf.h"

namespace aquatint::checkpoint {

// config.json's keys for the architectures llama (also Mistral's files), qwen2 and qwen3. BadInput for
// others, for mixtures of experts, and for rope factors that no config.json key can say.
base::Json gguf_config(const GgufFile& file);

// "blk.0.attn_q.weight" → "model.layers.0.self_attn.q_proj.weight"; "" for tensors that config.json says
// instead; nullopt for unknown ones.
std::optional<std::string> hugging_face_name(std::string_view gguf_name);

// Llama-arch files hold each head's rows of q and k in the order of interleaved rope pairs: row r of Hugging
// Face's matrix is row result[r] of the file's. Empty when `name` (Hugging Face's) is stored as it is.
std::vector<int64_t> row_order(const base::Json& config, std::string_view arch, std::string_view name,
                               int64_t rows);

// Llama 3's rope scaling from the per-frequency divisors that llama.cpp stores instead of its four parameters
// (its converter's rule, inverted); nullopt when they do not follow the rule. `theta` is the rope base.
std::optional<base::Json> recover_llama3_rope(std::span<const float> divisors, double theta);

// The shortest decimal that reads back as this FP32 number, as a double: 1e-5, not 9.99999974737875e-06.
double shortest(double value);

}  // namespace aquatint::checkpoint
