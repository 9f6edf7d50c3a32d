// Checkpoints in memory: random tiny models of any architecture, and damage done to them on purpose.
#pragma once
#include <cmath>
#include <map>
#include <string>

#include "base/error.h"
#include "base/rng.h"
#include "checkpoint/checkpoint.h"
#include "model/config.h"
#include "model/weights.h"

namespace aquatint::test {

class FakeCheckpoint final : public checkpoint::Checkpoint {
 public:
  base::Json config_json;
  std::map<std::string, tensor::QuantizedMatrix, std::less<>> matrices;  // by module
  std::map<std::string, std::vector<float>, std::less<>> vectors;        // by full name
  std::vector<checkpoint::SideFile> files;
  mutable std::vector<std::pair<std::string, base::Access>> advice;  // as it came

  const std::filesystem::path& path() const override { return path_; }
  const base::Json& config() const override { return config_json; }
  std::string layout() const override { return "fake"; }
  std::string scheme() const override { return ""; }
  std::span<const checkpoint::StoredTensor> tensors() const override { return {}; }
  std::span<const checkpoint::SideFile> side_files() const override { return files; }
  std::span<const checkpoint::WeightInfo> weights() const override { return {}; }
  std::span<const std::string> warnings() const override { return {}; }
  bool has_weight(std::string_view module) const override { return matrices.contains(module); }
  tensor::QuantizedMatrix weight(std::string_view module) const override {
    return matrices.find(module)->second;
  }
  void advise(std::string_view module, base::Access access) const override {
    advice.emplace_back(module, access);
  }
  bool has_vector(std::string_view name) const override { return vectors.contains(name); }
  std::vector<float> vector(std::string_view name, int64_t expected) const override {
    const std::vector<float>& values = vectors.find(name)->second;
    if (static_cast<int64_t>(values.size()) != expected)
      throw base::BadInput(
          fmt::format("tensor \"{}\" has {} values, expected {}", name, values.size(), expected));
    return values;
  }
  std::string sha256() const override { return std::string(64, '0'); }

 private:
  std::filesystem::path path_ = "fake-model";
};

// Fills a FakeCheckpoint with what each_weight names. Weights are normal with deviation 1/√cols, norms
// near 1.
class RandomWeights {
 public:
  RandomWeights(FakeCheckpoint& out, uint64_t seed) : out_(out), rng_(seed) {}

  void matrix(const std::string& module, int64_t rows, int64_t cols) {
    out_.matrices[module] =
        tensor::plain_matrix(normal(rows * cols, 0, 1 / std::sqrt(static_cast<double>(cols))), rows, cols);
  }
  void vector(const std::string& name, int64_t count, double mean) {
    out_.vectors[name] = normal(count, mean, 0.1);
  }

  // The visitor of one block.
  std::string prefix;
  void norm(std::string_view name, const std::vector<float>&, model::Extent extent) {
    vector(prefix + std::string(name) + ".weight", extent.size, 1);
  }
  void linear(const model::Linear&, std::initializer_list<model::Part> parts, model::Extent cols,
              bool has_bias) {
    for (const model::Part& part : parts) {
      matrix(prefix + std::string(part.module), part.rows.size, cols.size);
      if (has_bias) vector(prefix + std::string(part.module) + ".bias", part.rows.size, 0);
    }
  }

 private:
  std::vector<float> normal(int64_t count, double mean, double deviation) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) v = static_cast<float>(mean + deviation * rng_.normal());
    return values;
  }

  FakeCheckpoint& out_;
  base::Rng rng_;
};

inline std::shared_ptr<FakeCheckpoint> random_checkpoint(const base::Json& config, uint64_t seed = 1) {
  auto out = std::make_shared<FakeCheckpoint>();
  out->config_json = config;
  const model::Config c = model::parse_config(config, "test");
  RandomWeights random(*out, seed);
  random.matrix("model.embed_tokens", c.vocab_size, c.hidden_size);
  if (!c.tied_embeddings) random.matrix("lm_head", c.vocab_size, c.hidden_size);
  random.vector("model.norm.weight", c.hidden_size, 1);
  model::Block block;
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    random.prefix = fmt::format("model.layers.{}.", layer);
    model::each_weight(block, c, random);
  }
  return out;
}

// Odd widths, grouped heads, head_dim ≠ hidden_size / heads.
inline base::Json tiny_config(std::string_view model_type) {
  base::Json config = {
      {"model_type", model_type}, {"vocab_size", 97},       {"hidden_size", 36},
      {"intermediate_size", 52},  {"num_hidden_layers", 3}, {"num_attention_heads", 6},
      {"num_key_value_heads", 2}, {"head_dim", 10},         {"max_position_embeddings", 2048},
      {"rms_norm_eps", 1e-5},     {"eos_token_id", 2},      {"tie_word_embeddings", false}};
  if (model_type == "mistral") config["sliding_window"] = 20;
  return config;
}

}  // namespace aquatint::test
