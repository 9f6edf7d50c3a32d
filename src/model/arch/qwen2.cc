#include "model/arch/arch.h"

namespace aquatint::model {

// Qwen2 and Qwen2.5: q, k and v always have biases, the output projection never. arXiv 2407.10671.
const Architecture qwen2 = {
    .model_type = "qwen2",
    .class_name = "Qwen2ForCausalLM",
    .default_kv_heads = 32,
    .default_head_dim = 0,
    .read_switches =
        [](const base::Json& config, const std::string& where, Config& out) {
          out.qkv_bias = true;
          out.windows = read_layer_windows(config, where, out.layers);
        },
};

}  // namespace aquatint::model
