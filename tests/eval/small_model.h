// A tiny random model on the reference kernels, and next-token log-probabilities computed the plain way: one
// sequence, every logit, FP64 sums.
#pragma once
#include <cmath>

#include "../model/fake_checkpoint.h"
#include "kernels/ops.h"
#include "model/model.h"

namespace aquatint::eval {

inline base::Json small_config(int64_t vocab_size = 258) {
  base::Json config = test::tiny_config("llama");
  config["vocab_size"] = vocab_size;
  config["max_position_embeddings"] = 64;
  return config;
}

struct SmallModel {
  explicit SmallModel(uint64_t seed = 1, kernels::Precision precision = kernels::Precision::fp32,
                      int threads = 2, const base::Json& config = small_config())
      : pool(threads),
        model(model::Model::load(test::random_checkpoint(config, seed),
                                 {&kernels::kernel_set("ref"), &pool, precision})) {}

  // [tokens.size()][vocab]: ln p of every next token after each token.
  std::vector<std::vector<double>> log_probabilities(const std::vector<int32_t>& tokens) {
    const model::Config& config = model->config();
    model::KvCache cache = model->cache(static_cast<int64_t>(tokens.size()));
    const model::Segment segment{&cache, static_cast<int64_t>(tokens.size())};
    std::vector<float> hidden(tokens.size() * static_cast<size_t>(config.hidden_size));
    model->forward(tokens, {&segment, 1}, kernels::Phase::prefill, hidden.data());
    std::vector<float> logits(tokens.size() * static_cast<size_t>(config.vocab_size));
    model->logits(hidden.data(), segment.rows, kernels::Phase::prefill, logits.data());
    std::vector<std::vector<double>> result;
    for (size_t row = 0; row < tokens.size(); ++row) {
      const auto begin = logits.begin() + static_cast<int64_t>(row) * config.vocab_size;
      std::vector<double> of_row(begin, begin + config.vocab_size);
      double sum = 0;
      for (const double logit : of_row) sum += std::exp(logit);
      for (double& logit : of_row) logit -= std::log(sum);
      result.push_back(std::move(of_row));
    }
    return result;
  }

  base::ThreadPool pool;
  std::unique_ptr<model::Model> model;
};

}  // namespace aquatint::eval
