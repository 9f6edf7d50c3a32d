// A tiny random Llama as a folder on disk, with a tokenizer, for tests of whole commands.
#pragma once
#include <filesystem>

#include "base/file.h"
#include "base/rng.h"
#include "checkpoint/writer.h"
#include "model/fake_checkpoint.h"
#include "text/tokenizer.h"

namespace aquatint::test {

inline std::string golden_text(const std::string& name) {
  return base::read_text(std::filesystem::path(AQUATINT_GOLDEN) / "text" / name);
}

inline void write_tiny_model(const std::filesystem::path& to) {
  const std::string tokenizer_json = golden_text("smollm.json");
  const auto tokenizer = text::Tokenizer::from_json(tokenizer_json, "smollm.json");
  const base::Json config = {{"architectures", {"LlamaForCausalLM"}},
                             {"model_type", "llama"},
                             {"vocab_size", tokenizer->vocab_size()},
                             {"hidden_size", 64},
                             {"intermediate_size", 128},
                             {"num_hidden_layers", 2},
                             {"num_attention_heads", 4},
                             {"num_key_value_heads", 2},
                             {"max_position_embeddings", 512},
                             {"rms_norm_eps", 1e-5},
                             {"tie_word_embeddings", true},
                             {"torch_dtype", "bfloat16"}};
  auto model = random_checkpoint(config, 7);
  model->files.push_back({"tokenizer.json", tokenizer_json});
  checkpoint::Writer writer(to, *model, "safetensors", &numeric::bf16);
  for (const auto& [module, matrix] : model->matrices) writer.plain(module, matrix, numeric::bf16);
  for (const auto& [name, values] : model->vectors) {
    const int64_t size = static_cast<int64_t>(values.size());
    writer.plain(name, std::span(&size, 1), values, numeric::bf16);
  }
  writer.finish();
}

// Words of random letters: enough for `tokens` tokens of any tokenizer.
inline std::string random_text(int64_t tokens) {
  base::Rng rng(3);
  std::string text;
  for (int64_t i = 0; i < 2 * tokens; ++i) {
    for (uint64_t letters = 1 + rng.below(6); letters > 0; --letters)
      text += static_cast<char>('a' + rng.below(26));
    text += rng.below(12) == 0 ? '\n' : ' ';
  }
  return text;
}

}  // namespace aquatint::test
