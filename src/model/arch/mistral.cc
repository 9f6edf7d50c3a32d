#include "model/arch/arch.h"

namespace aquatint::model {

// Mistral 7B and its kin: every layer has the window, or none has. Jiang et al., arXiv 2310.06825.
const Architecture mistral = {
    .model_type = "mistral",
    .class_name = "MistralForCausalLM",
    .default_kv_heads = 8,
    .default_head_dim = 0,
    .read_switches =
        [](const base::Json& config, const std::string& where, Config& out) {
          constexpr int64_t kWindowWhenAbsent = 4096;
          const int64_t otherwise = config.contains("sliding_window") ? 0 : kWindowWhenAbsent;
          const int64_t window = base::int_or(config, "sliding_window", otherwise, where, 1);
          out.windows.assign(static_cast<size_t>(out.layers), window);
        },
};

}  // namespace aquatint::model
