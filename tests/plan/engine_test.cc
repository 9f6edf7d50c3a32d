#include "plan/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "model/fake_checkpoint.h"
#include "plan/load.h"
#include "plan/offload.h"
#include "plan/simulate.h"
#include "plan/training.h"
#include "quant/method.h"
#include "quant/plan.h"

namespace aquatint::plan {
namespace {

// What the product itself writes: every preset over matrices whose sizes divide and whose do not.
TEST(MatrixBytes, AreThoseThatQuantizeStores) {
  for (const numeric::Scheme& scheme : numeric::schemes())
    for (const auto& [rows, cols] : {std::pair{48, 128}, {7, 256}, {130, 384}}) {
      const tensor::QuantizedMatrix stored = quant::empty_matrix(rows, cols, scheme.weights);
      EXPECT_EQ(matrix_bytes(rows, cols, scheme.weights), static_cast<double>(stored.stored_bytes))
          << scheme.name << " " << rows << " x " << cols;
    }
}

// The pipeline's own prediction, which its tests hold against the written file, for each architecture.
TEST(WeightBytes, AreThoseThatQuantizePredicts) {
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) {
    base::Json config = test::tiny_config(type);
    config["hidden_size"] = 64;
    config["intermediate_size"] = 192;
    config["num_attention_heads"] = 4;
    config["head_dim"] = 16;
    const auto source = test::random_checkpoint(config);
    const Shape shape = shape_from_config(source->config(), type);
    for (const char* scheme : {"W8A16", "W4A16", "W4A16_ASYM", "NF4", "FP8_BLOCK", "W3A16"}) {
      quant::QuantizeJob job;
      job.recipe.scheme = numeric::find_scheme(scheme);
      job.dry_run = true;
      quant::Report report;
      quant::predict_sizes(quant::make_plan(*source, job, report), report);
      const Choice choice = find_choice(scheme);
      EXPECT_NEAR(bits_per_weight(shape, choice), report.bits_per_weight, 1e-9) << type << " " << scheme;
      EXPECT_EQ(shape.parameters(), static_cast<double>(report.parameters)) << type;
      // The file has shapes beside the codes, bitsandbytes' also its tables: for each matrix.
      const double each = choice.scheme->weights.double_quantized ? 1536 : 64;
      const double names = each * static_cast<double>(report.layers.size());
      EXPECT_LE(weight_bytes(shape, choice), static_cast<double>(report.bytes)) << type << " " << scheme;
      EXPECT_GE(weight_bytes(shape, choice) + names, static_cast<double>(report.bytes))
          << type << " " << scheme;
    }
  }
}

// bitsandbytes' NF4 and our own file of SmolLM2 (docs/STATUS.md, docs/claims.md Q7).
TEST(WeightBytes, OfSmolLm2AreTheKnownOnes) {
  const Shape shape = find_shape("SmolLM2-135M");
  EXPECT_EQ(group_of(shape, find_choice("W4A16")), 64);
  EXPECT_NEAR(bits_per_weight(shape, find_choice("W4A16")), 4.25, 1e-9);
  EXPECT_NEAR(bits_per_weight(shape, find_choice("NF4")), 4.127, 5e-4);
  EXPECT_EQ(weight_bytes(shape, find_choice("BF16")), 2 * 134515008.0);
}

TEST(CacheBytes, CountScales) {
  const Shape shape = find_shape("Llama-3-8B");
  EXPECT_EQ(cache_bytes_per_token(shape, find_choice("BF16")), 131072);
  EXPECT_EQ(cache_bytes_per_token(shape, find_choice("BF16+KVFP8")), 65536);
  EXPECT_EQ(cache_bytes_per_token(shape, find_choice("BF16+KV8")), 65536 + 32 * 16 * 4);
  EXPECT_EQ(cache_bytes_per_token(shape, find_choice("W4A16+KV4")),
            32768 + 32 * 16 * (128 * 4.0 / 64 + 4) / 2);
}

Engine engine_with(const Shape& shape, const char* scheme, const Device& device, int count = 1) {
  return make_engine(shape, find_choice(scheme), device, count, default_efficiency());
}

const std::vector<const char*> kByBits = {"FP32", "BF16", "W8A16", "FP6", "W4A16", "W3A16"};

TEST(Properties, MoreBitsNeverNeedLessMemory) {
  for (const std::string& name : shape_names()) {
    const Shape shape = find_shape(name);
    for (size_t i = 1; i < kByBits.size(); ++i)
      EXPECT_GT(weight_bytes(shape, find_choice(kByBits[i - 1])),
                weight_bytes(shape, find_choice(kByBits[i])))
          << name << " " << kByBits[i];
    for (const char* cache : {"BF16+KV8", "BF16+KVFP8", "BF16+KV4"})
      EXPECT_GT(cache_bytes_per_token(shape, find_choice("BF16")),
                cache_bytes_per_token(shape, find_choice(cache)));
  }
}

TEST(Properties, MoreBandwidthIsNeverSlower) {
  const Traffic traffic;
  for (const std::string& name : shape_names()) {
    const Shape shape = find_shape(name);
    for (const Device& device : devices())
      for (const char* scheme : {"BF16", "W8A8", "W4A16+KV8", "FP8_DYNAMIC"}) {
        Device faster = device;
        faster.bandwidth *= 1.5;
        for (const double batch : {1.0, 16.0, 300.0})
          EXPECT_LE(at_batch(engine_with(shape, scheme, faster), traffic, batch).token,
                    at_batch(engine_with(shape, scheme, device), traffic, batch).token)
              << name << " " << device.name << " " << scheme;
      }
  }
}

TEST(Properties, ALargerBatchNeverLowersThroughputWithinMemory) {
  for (const std::string& name : shape_names()) {
    const Shape shape = find_shape(name);
    for (const Device& device : devices())
      for (const char* scheme : {"BF16", "W8A8", "W4A16+KV8", "FP8_DYNAMIC+KVFP8"})
        for (const Traffic& traffic :
             {Traffic{}, Traffic{128, 128}, Traffic{2048, 128}, Traffic{128, 2048}}) {
          const Engine engine = engine_with(shape, scheme, device, 4);
          const double most = most_sequences(engine, memory_of(engine), traffic.context());
          double before = 0;
          for (double batch = 1; batch <= most; batch = std::ceil(batch * 1.3)) {
            const double now = at_batch(engine, traffic, batch).tokens_per_second;
            EXPECT_GE(now, before * (1 - 1e-12))
                << name << " " << device.name << " " << scheme << " " << batch;
            before = now;
          }
        }
  }
}

// Of 70·10⁹ weights at 3.35 TB/s in two bytes, by hand.
TEST(StepTime, OfOneTokenIsTheReadOfTheWeights) {
  const Shape shape = find_shape("Llama-3-70B");
  const Engine engine = engine_with(shape, "BF16", find_device("H200"));
  const StepTime t = step_time(engine, {.sequences = 1, .context = 1});
  const double linears = 80 * (2 * 8192.0 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 28672) * 2;
  EXPECT_NEAR(t.linears, linears / (4.8e12 * engine.efficiency.weight_bandwidth), 1e-6);
  EXPECT_TRUE(t.linears_bound_by_memory);
  EXPECT_EQ(t.collectives, 0);
}

TEST(StepTime, ExpertsAreReadOnceSomeTokenPassesThem) {
  const Shape shape = find_shape("Mixtral-8x7B");
  const Engine engine = engine_with(shape, "BF16", find_device("H200"));
  const double one = step_time(engine, {.sequences = 1, .context = 1}).linears,
               many = step_time(engine, {.sequences = 64, .context = 1}).linears;
  EXPECT_NEAR(many / one, 46.4 / 12.6,
              0.2);  // all parameters over the active ones, without embedding and head
}

TEST(Load, KeepsUpOrSaysNothing) {
  const Shape shape = find_shape("Llama-3-8B");
  const Engine engine = engine_with(shape, "BF16", find_device("H100-80G"));
  const Memory memory = memory_of(engine);
  const Traffic traffic;
  const Service most = at_most(engine, memory, traffic, {});
  const double limit = most.tokens_per_second / traffic.generate_tokens;
  EXPECT_EQ(at_rate(engine, memory, traffic, 1.01 * limit).sequences, 0);
  const Service half = at_rate(engine, memory, traffic, 0.5 * limit);
  EXPECT_GT(half.sequences, 0);
  EXPECT_LT(half.sequences, most.sequences);
  EXPECT_LT(half.token, most.token);
  EXPECT_EQ(at_most(engine, memory, traffic, {.first_token = 0, .token = 1e-6}).sequences, 0);
}

// Closed form and simulation agree where both should: a steady load at half of what is carried.
TEST(Simulation, AgreesWithTheClosedForm) {
  const Shape shape = find_shape("Llama-3-70B");
  for (const char* scheme : {"FP8_DYNAMIC+KVFP8", "W4A16"}) {
    const Engine engine = engine_with(shape, scheme, find_device("H100-80G"), 4);
    const Memory memory = memory_of(engine);
    const Traffic traffic{.prompt_tokens = 500, .generate_tokens = 300};
    const double rate =
        0.5 * at_most(engine, memory, traffic, {}).tokens_per_second / traffic.generate_tokens;
    const Service closed = at_rate(engine, memory, traffic, rate);
    const Played played = simulate(engine, memory, traffic, {.requests_per_second = rate, .requests = 2000});
    EXPECT_NEAR(played.token.mean / closed.token, 1, 0.15) << scheme;
    EXPECT_NEAR(played.first_token.mean / closed.first_token, 1, 0.6) << scheme;
  }
}

TEST(Simulation, IsTheSameForTheSameSeed) {
  const Shape shape = find_shape("Llama-3-8B");
  const Engine engine = engine_with(shape, "W4A16", find_device("L4"));
  const Memory memory = memory_of(engine);
  const Simulation settings{.requests_per_second = 0.5, .requests = 100, .seed = 7};
  const Played a = simulate(engine, memory, {}, settings), b = simulate(engine, memory, {}, settings);
  EXPECT_EQ(a.seconds, b.seconds);
  EXPECT_EQ(a.token.p99, b.token.p99);
  Simulation other = settings;
  other.seed = 8;
  EXPECT_NE(simulate(engine, memory, {}, other).seconds, a.seconds);
}

TEST(Simulation, NeverHoldsMoreThanTheMemory) {
  const Shape shape = find_shape("Llama-3-70B");
  const Engine engine = engine_with(shape, "W4A16", find_device("A100-80G"));
  const Memory memory = memory_of(engine);
  const Traffic traffic;
  const Played played = simulate(engine, memory, traffic, {.requests_per_second = 100, .requests = 300});
  EXPECT_LE(played.most_sequences, most_sequences(engine, memory, traffic.context()));
  EXPECT_GT(played.first_token.p99, played.first_token.p50);
}

// DeepSeek-R1's FP8 weights on one H100 (claim P7): most of it off the card, of which a token needs little.
TEST(Offload, MovesExpertsThatATokenPasses) {
  const Shape moe = find_shape("DeepSeek-R1"), dense = find_shape("Llama-3.1-405B");
  const Engine sparse = engine_with(moe, "FP8_BLOCK", find_device("H100-80G")),
               whole = engine_with(dense, "FP8_DYNAMIC", find_device("H100-80G"));
  const Offload a = with_host_memory(sparse, memory_of(sparse), 1000, 1500),
                b = with_host_memory(whole, memory_of(whole), 1000, 1500);
  EXPECT_GT(a.bytes_off, 590e9);
  EXPECT_GT(b.bytes_off, 320e9);
  EXPECT_LT(a.token_seconds, b.token_seconds / 10);
}

TEST(Training, OfALargeModelFitsInFourBits) {
  const std::vector<TrainingMemory> modes = training_memory(find_shape("Llama-2-13B"), {});
  EXPECT_EQ(modes[0].mode, "qlora");
  EXPECT_LT(modes[0].total(), find_device("H100-80G").memory_bytes / 4);
  EXPECT_GT(modes[3].total(), 2 * find_device("H100-80G").memory_bytes);
}

}  // namespace
}  // namespace aquatint::plan
