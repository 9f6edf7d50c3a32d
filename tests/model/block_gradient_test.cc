#include "model/block_gradient.h"

#include <gtest/gtest.h>

#include "fake_checkpoint.h"
#include "model/staged_block.h"

namespace aquatint::model {
namespace {

using test::random_checkpoint;
using test::tiny_config;

constexpr int64_t kRows = 33;

std::vector<base::Json> variants() {
  std::vector<base::Json> all;
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) all.push_back(tiny_config(type));
  all.push_back(tiny_config("llama"));
  all.back()["attention_bias"] = all.back()["mlp_bias"] = true;
  all.push_back(tiny_config("llama"));
  all.back()["rope_scaling"] = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 512}};
  return all;
}

std::vector<float> random_values(size_t n, uint64_t seed) {
  base::Rng rng(seed);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.normal());
  return values;
}

// Stacks the parts of a checkpoint's first block.
struct Stacked {
  const checkpoint::Checkpoint& from;
  Block& block;
  BlockMatrices& to;

  void norm(std::string_view, const std::vector<float>&, Extent) {}
  void linear(Linear& linear, std::initializer_list<Part> parts, Extent cols, bool) {
    for (const Stage stage : kStages) {
      if (&linear != &linear_of(block, stage)) continue;
      std::vector<float>& values = to[static_cast<size_t>(stage)];
      for (const Part& part : parts) {
        const auto m = from.weight("model.layers.0." + std::string(part.module));
        values.resize(values.size() + static_cast<size_t>(m.rows * cols.size));
        tensor::dequantize(m, 0, m.rows,
                           values.data() + static_cast<int64_t>(values.size()) - m.rows * m.cols);
      }
    }
  }
};

struct Fixture {
  explicit Fixture(const base::Json& json, int threads = 2)
      : pool(threads),
        backend{&kernels::kernel_set("auto"), &pool, kernels::Precision::fp32},
        checkpoint(random_checkpoint(json)),
        config(parse_config(json, "test")),
        block(load_block_vectors(*checkpoint, config, 0)),
        gradient(config, 0, block, backend),
        x(random_values(static_cast<size_t>(kRows * config.hidden_size), 3)),
        loss_weights(random_values(x.size(), 4)) {
    each_weight(block, config, Stacked{*checkpoint, block, weights});
  }

  std::vector<float> forward(const BlockMatrices& w, const std::vector<float>& from) {
    std::vector<float> y(from.size());
    gradient.set_weights(w);
    gradient.forward(from, kRows, y);
    return y;
  }
  // Σ loss_weights · y.
  double loss(const BlockMatrices& w, const std::vector<float>& from) {
    const std::vector<float> y = forward(w, from);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += double{y[i]} * double{loss_weights[i]};
    return sum;
  }
  // That loss's gradient: by the weights, and by x.
  std::pair<BlockMatrices, std::vector<float>> backward() {
    forward(weights, x);
    BlockMatrices by_weights;
    for (size_t i = 0; i < weights.size(); ++i) by_weights[i].assign(weights[i].size(), 0);
    std::vector<float> by_x = loss_weights;
    gradient.backward(by_x, by_weights);
    return {by_weights, by_x};
  }

  base::ThreadPool pool;
  Backend backend;
  std::shared_ptr<test::FakeCheckpoint> checkpoint;
  Config config;
  Block block;
  BlockGradient gradient;
  BlockMatrices weights;
  std::vector<float> x, loss_weights;
};

TEST(BlockGradient, ForwardIsTheDecodersBlock) {
  for (const base::Json& json : variants()) {
    Fixture f(json);
    HiddenStates states{{kRows}, StateArray(f.x.size(), {}), {}};
    std::copy(f.x.begin(), f.x.end(), states.x.host().data());
    Block packed = load_block_vectors(*f.checkpoint, f.config, 0);
    StagedBlock staged(f.config, f.backend, 0, states);
    staged.enter(packed);
    for (const Stage stage : kStages) {
      const std::vector<float>& w = f.weights[static_cast<size_t>(stage)];
      const int64_t cols = input_width(stage, f.config);
      const auto matrix = tensor::plain_matrix(w, static_cast<int64_t>(w.size()) / cols, cols);
      pack_linear(linear_of(packed, stage), {&matrix, 1}, f.backend);
      staged.run(packed, stage);
    }
    const std::vector<float> y = f.forward(f.weights, f.x);
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_NEAR(y[i], states.x.host().data()[i], 2e-5f) << json.dump() << " " << i;
  }
}

// Along a random direction, (loss(+ε) − loss(−ε)) / 2ε against its scalar product with the gradient.
template <class Move>
void expect_slope(Fixture& f, std::vector<float>& values, const std::vector<float>& by_values, Move loss,
                  const std::string& what) {
  const std::vector<float> direction = random_values(values.size(), 5), original = values;
  double want = 0, size = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    want += double{direction[i]} * double{by_values[i]};
    size += double{by_values[i]} * double{by_values[i]};
  }
  constexpr float kStep = 2e-3f;
  const auto moved = [&](float step) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = original[i] + step * direction[i];
    return loss();
  };
  const double got = (moved(kStep) - moved(-kStep)) / (2 * double{kStep});
  values = original;
  // Against the slope's usual size for a random direction, not its own, which may be near 0.
  EXPECT_NEAR(got, want, 5e-3 * std::sqrt(size)) << what << " of " << f.config.model_type;
  EXPECT_GT(size, 0) << what;
}

TEST(BlockGradient, IsTheSlopeOfTheLoss) {
  for (const base::Json& json : variants()) {
    Fixture f(json);
    const auto [by_weights, by_x] = f.backward();
    for (size_t stage = 0; stage < by_weights.size(); ++stage)
      expect_slope(
          f, f.weights[stage], by_weights[stage], [&] { return f.loss(f.weights, f.x); },
          fmt::format("stage {}", stage));
    expect_slope(
        f, f.x, by_x, [&] { return f.loss(f.weights, f.x); }, "x");
  }
}

TEST(BlockGradient, DoesNotDependOnThreads) {
  Fixture one(variants().back(), 1), three(variants().back(), 3);
  EXPECT_EQ(one.backward(), three.backward());
}

}  // namespace
}  // namespace aquatint::model
