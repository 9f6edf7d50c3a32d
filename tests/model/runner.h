// A model with its pool, and short ways of running tokens through it.
#pragma once
#include "fake_checkpoint.h"
#include "model/model.h"

namespace aquatint::test {

inline std::vector<int32_t> some_tokens(int64_t count, uint64_t seed = 5) {
  base::Rng rng(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& t : tokens) t = static_cast<int32_t>(rng.below(97));
  return tokens;
}

struct Runner {
  Runner(const std::shared_ptr<const checkpoint::Checkpoint>& checkpoint, const kernels::KernelSet& set,
         kernels::Precision precision, int threads = 1, std::optional<kernels::KvFormat> kv = std::nullopt)
      : pool(threads), model(model::Model::load(checkpoint, {&set, &pool, precision, kv})) {}

  model::KvCache cache(int64_t capacity = 256, int64_t rewind = 0) const {
    return model->cache(capacity, rewind);
  }
  std::vector<float> run(std::span<const int32_t> tokens, std::span<const model::Segment> segments,
                         kernels::Phase phase) const {
    std::vector<float> hidden(tokens.size() * static_cast<size_t>(model->config().hidden_size));
    model->forward(tokens, segments, phase, hidden.data());
    return hidden;
  }
  std::vector<float> run(std::span<const int32_t> tokens, model::KvCache& cache, kernels::Phase phase) const {
    const model::Segment segment{&cache, static_cast<int64_t>(tokens.size())};
    return run(tokens, {&segment, 1}, phase);
  }
  std::vector<float> logits(const std::vector<float>& hidden,
                            kernels::Phase phase = kernels::Phase::prefill) const {
    const int64_t rows = static_cast<int64_t>(hidden.size()) / model->config().hidden_size;
    std::vector<float> out(static_cast<size_t>(rows * model->config().vocab_size));
    model->logits(hidden.data(), rows, phase, out.data());
    return out;
  }

  base::ThreadPool pool;
  std::unique_ptr<model::Model> model;
};

}  // namespace aquatint::test
