#include "model/arch/arch.h"

namespace aquatint::model {

// Llama 1 to 3, SmolLM, and most that call themselves alike. Touvron et al., arXiv 2302.13971.
const Architecture llama = {
    .model_type = "llama",
    .class_name = "LlamaForCausalLM",
    .default_kv_heads = 0,
    .default_head_dim = 0,
    .read_switches =
        [](const base::Json& config, const std::string& where, Config& out) {
          out.qkv_bias = out.output_bias = base::bool_or(config, "attention_bias", false, where);
          out.mlp_bias = base::bool_or(config, "mlp_bias", false, where);
        },
};

}  // namespace aquatint::model
