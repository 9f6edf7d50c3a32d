#include "model/arch/arch.h"

namespace aquatint::model {

// Qwen3: RMSNorm over each head of q and k instead of biases. arXiv 2505.09388.
const Architecture qwen3 = {
    .model_type = "qwen3",
    .class_name = "Qwen3ForCausalLM",
    .default_kv_heads = 32,
    .default_head_dim = 128,
    .read_switches =
        [](const base::Json& config, const std::string& where, Config& out) {
          out.qk_norm = true;
          out.qkv_bias = out.output_bias = base::bool_or(config, "attention_bias", false, where);
          out.windows = read_layer_windows(config, where, out.layers);
        },
};

}  // namespace aquatint::model
