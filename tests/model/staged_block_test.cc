#include "model/staged_block.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "fenced_set.h"
#include "runner.h"

namespace aquatint::model {
namespace {

using kernels::Phase;
using kernels::Precision;
using test::random_checkpoint;
using test::Runner;
using test::some_tokens;
using test::tiny_config;

// The hidden states of all sequences after every block, the final norm applied, by stages.
std::vector<float> run_staged(const checkpoint::Checkpoint& checkpoint, const Runner& runner,
                              std::span<const std::vector<int32_t>> sequences) {
  const Config& config = runner.model->config();
  const Backend& backend = runner.model->backend();
  const Weights weights = load_weights(checkpoint, config, backend);
  HiddenStates states = embed_sequences(sequences, weights.embedding, config, backend);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const Block& block = weights.blocks[static_cast<size_t>(layer)];
    StagedBlock staged(config, backend, layer, states);
    staged.enter(block);
    for (const Stage stage : kStages) {
      EXPECT_EQ(staged.input().size() * static_cast<size_t>(config.hidden_size),
                states.x.size() * static_cast<size_t>(input_width(stage, config)));
      staged.run(block, stage);
    }
  }
  std::vector<float> normed(states.x.size());
  Backend host = backend;
  if (!host.memory().is_host()) host.kernels = &kernels::kernel_set("scalar");  // what is behind the fence
  leave_blocks({config, host}, weights.final_norm, static_cast<int64_t>(states.x.size()) / config.hidden_size,
               states.x.host().data(), normed.data());
  return normed;
}

TEST(StagedBlock, GivesTheBitsOfAForwardPass) {
  for (const kernels::KernelSet* set : test::usable_sets()) {
    for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) {
      for (const Precision precision : {Precision::fp32, Precision::bf16}) {
        base::Json json = tiny_config(type);
        if (type == std::string_view("qwen3"))
          json[kRotationsKey] = {{"version", 1},          {"residual", 1},   {"query_key", 2},
                                 {"attention_out_in", 3}, {"down_in", 4},    {"query_out", 5},
                                 {"key_value_out", 6},    {"gate_up_out", 7}};
        const auto checkpoint = random_checkpoint(json);
        const Runner runner(checkpoint, *set, precision, 2);
        const std::vector<std::vector<int32_t>> sequences = {some_tokens(45), some_tokens(1, 6),
                                                             some_tokens(600, 7)};
        std::vector<float> want;
        for (const auto& sequence : sequences) {
          KvCache cache = runner.cache(600);
          const std::vector<float> hidden = runner.run(sequence, cache, Phase::prefill);
          want.insert(want.end(), hidden.begin(), hidden.end());
        }
        EXPECT_EQ(run_staged(*checkpoint, runner, sequences), want) << set->name << " " << type;
      }
    }
  }
}

TEST(StagedBlock, RefusesForeignTokens) {
  const auto checkpoint = random_checkpoint(tiny_config("llama"));
  const Runner runner(checkpoint, kernels::kernel_set("ref"), Precision::fp32);
  const std::vector<std::vector<int32_t>> sequences = {{1, 97}};
  EXPECT_THROW(embed_sequences(sequences, checkpoint->weight("model.embed_tokens"), runner.model->config(),
                               runner.model->backend()),
               base::BadInput);
}

}  // namespace
}  // namespace aquatint::model
