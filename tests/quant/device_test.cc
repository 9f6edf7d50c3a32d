// Quantizing where the kernels' memory is a device's: the fenced set, whose memory the host cannot touch and
// whose kernels are the scalar set's, and the CUDA set on an emulated device.
#include <cmath>

#include "../model/fenced_set.h"
#include "calibrated_linear.h"
#include "kernels/cuda/emulated_set.h"
#include "model/staged_block.h"
#include "pipeline_fixture.h"
#include "quant/linear_algebra.h"
#include "quant/methods/columns_behind.h"

namespace aquatint::quant {
namespace {

const kernels::KernelSet& scalar() { return kernels::kernel_set("scalar"); }

struct Pair {
  base::ThreadPool pool{2};
  model::Backend host{&scalar(), &pool}, device{&test::fenced_set(), &pool};
};

TEST(OnDevice, GramMatricesHaveTheHostsBits) {
  Pair p;
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 1}, {70, 33}, {4500, 20}}) {
    const std::vector<float> x = random_values(rows * cols, 1);
    std::vector<float> want(static_cast<size_t>(cols * cols)), got = want, placed = want;
    add_gram(x, cols, want, p.host);
    add_gram(x, cols, got, p.device);
    EXPECT_EQ(got, want) << rows << " x " << cols;
    const kernels::Array<float> there(p.device.memory(), std::span<const float>(x), "x");
    add_placed_gram(there.data(), rows, cols, placed, p.device);
    EXPECT_EQ(placed, want) << rows << " x " << cols;
  }
}

TEST(OnDevice, CrossProductsOfPartsOfMatrices) {
  Pair p;
  const std::vector<float> a = random_values(200 * 10, 1), b = random_values(200 * 7, 2);
  std::vector<float> want(4 * 20, 0.5f), got = want;
  for (auto* out : {&want, &got})
    add_cross({a.data() + 3, 200, 4, 10}, {b.data(), 200, 7, 7}, {out->data() + 5, 4, 7, 20},
              out == &want ? p.host : p.device);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-4) << i;
}

// One tile, whole ones, a remainder, and more than one product takes at once.
TEST(OnDevice, FactorsOfTheInverseAreTheHosts) {
  Pair p;
  for (const int64_t n : {1, 17, 120, 121, 300, 1090}) {
    std::vector<float> a(static_cast<size_t>(n * n));
    add_gram(random_values(400 * n, 5), n, a, p.host);
    const auto want = inverse_cholesky(a, n, 40, p.host), got = inverse_cholesky(a, n, 40, p.device);
    ASSERT_TRUE(want && got) << n;
    for (size_t i = 0; i < want->size(); ++i) ASSERT_NEAR((*got)[i], (*want)[i], 1e-7) << n << ": " << i;
    a[static_cast<size_t>(n * n - 1)] = -1e6f;
    EXPECT_FALSE(inverse_cholesky(a, n, 40, p.device)) << n;
  }
}

TEST(OnDevice, QuadraticFormsAreTheHosts) {
  Pair p;
  for (const auto& [rows, n] : {std::pair<int64_t, int64_t>{1, 1}, {70, 193}, {4100, 5}}) {
    std::vector<float> h(static_cast<size_t>(n * n));
    add_gram(random_values(50 * n, 6), n, h, p.host);
    const std::vector<float> w = random_values(rows * n, 7);
    const double want = quadratic_form(w, h, n, p.host);
    EXPECT_NEAR(quadratic_form(w, h, n, p.device), want, 1e-5 * want) << rows << " x " << n;
  }
}

TEST(OnDevice, ErrorsReachTheColumnsBehind) {
  Pair p;
  constexpr int64_t kRows = 37, kCols = 50;
  const std::vector<float> upper = random_values(kCols * kCols, 8), w = random_values(kRows * kCols, 9);
  std::vector<float> of_host = w, of_device = w;
  const auto host = columns_behind({of_host.data(), kRows, kCols, kCols}, upper, p.host),
             device = columns_behind({of_device.data(), kRows, kCols, kCols}, upper, p.device);
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 20}, {20, 36}, {36, kCols}}) {
    host->fetch(begin, end);
    device->fetch(begin, end);
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t c = begin; c < end; ++c)
        ASSERT_NEAR(of_device[static_cast<size_t>(r * kCols + c)],
                    of_host[static_cast<size_t>(r * kCols + c)], 1e-4)
            << r << ", " << c;
    const std::vector<float> errors = random_values((end - begin) * kRows, static_cast<uint64_t>(end));
    if (end == kCols) break;
    host->add(errors.data(), begin, end);
    device->add(errors.data(), begin, end);
  }
}

TEST(OnDevice, RangesOfKeysAndValuesAreTheHosts) {
  Pair p;
  const auto source = test::random_checkpoint(config_of());
  const model::Config config = model::parse_config(source->config(), "test");
  const auto range_on = [&](const model::Backend& backend) {
    const model::Weights weights = model::load_weights(*source, config, backend);
    const model::StatePlace place{{}, backend.memory().is_host() ? nullptr : &backend.memory()};
    model::HiddenStates states =
        model::embed_sequences(calibration_tokens().sequences, weights.embedding, config, backend, place);
    model::StagedBlock staged(config, backend, 0, states);
    staged.enter(weights.blocks[0]);
    staged.run(weights.blocks[0], model::Stage::qkv);
    return staged.kv_range();
  };
  const model::KvRange host = range_on(p.host), device = range_on(p.device);
  EXPECT_GT(host.key, 0);
  EXPECT_EQ(device.key, host.key);
  EXPECT_EQ(device.value, host.value);
}

class DevicePipeline : public Pipeline {
 protected:
  // How far the codes' values of all linears are from those of another checkpoint, relative to these.
  double difference(const std::string& name, const std::string& other) {
    const auto a = open(name), b = open(other);
    double sum = 0, size = 0;
    for (const LayerReport& layer : report_.layers) {
      const std::vector<float> x = values(a->weight(layer.name)), y = values(b->weight(layer.name));
      for (size_t i = 0; i < x.size(); ++i) {
        sum += std::pow(double{x[i]} - double{y[i]}, 2);
        size += std::pow(double{y[i]}, 2);
      }
    }
    return std::sqrt(sum / size);
  }
  Report quantize_on(const kernels::KernelSet& set, const std::string& scheme, Options options,
                     const std::string& to) {
    options.kernels = &set;
    return report_ = run(*source_, scheme, options, to);
  }

  std::shared_ptr<test::FakeCheckpoint> source_ = test::random_checkpoint(config_of());
  CalibrationSet tokens_ = [] {
    CalibrationSet few = calibration_tokens();
    few.sequences.resize(4);
    return few;
  }();
  Report report_;
};

// Those whose sums have the same order give the same codes; others nearly.
TEST_F(DevicePipeline, GivesTheHostsModel) {
  struct Case {
    std::string scheme, methods;
    double most;  // difference
  };
  for (const Case& c : {Case{"FP8", "rtn", 0}, {"W4A16", "awq gptq", 1e-3}, {"W4A16", "qep gptq", 1e-2}}) {
    const Options options{.method = c.methods, .calibration = &tokens_};
    quantize_on(scalar(), c.scheme, options, "host");
    quantize_on(test::fenced_set(), c.scheme, options, "device");
    EXPECT_LE(difference("device", "host"), c.most) << c.scheme << " " << c.methods;
    for (const char* folder : {"host", "device"}) fs::remove_all(folder_ / folder);
  }
}

TEST_F(DevicePipeline, NamesTheTokenWhoseInputIsNotFinite) {
  auto source = test::random_checkpoint(config_of());
  std::vector<float>& norm = source->vectors["model.layers.1.input_layernorm.weight"];
  norm[5] = 3e38f;
  source_ = source;
  try {
    quantize_on(test::fenced_set(), "W4A16", {.method = "gptq", .calibration = &tokens_}, "out");
    FAIL() << "not refused";
  } catch (const base::BadInput& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("of calibration sample"));
  }
}

TEST_F(DevicePipeline, RunsOnTheCudaKernels) {
  const Options options{.method = "gptq", .calibration = &tokens_};
  const Report host = quantize_on(scalar(), "W4A16", options, "host");
  const Report device = quantize_on(kernels::cuda::emulated_set(), "W4A16", options, "device");
  // Sums of BF16 products in another order move codes that lie between two: 4 % of them, measured, by a step
  // of 0.35 times a weight's size.
  EXPECT_LE(difference("device", "host"), 0.1);
  for (size_t i = 0; i < host.layers.size(); ++i)
    EXPECT_NEAR(device.layers[i].relative_error, host.layers[i].relative_error,
                0.05 * host.layers[i].relative_error)
        << host.layers[i].name;
}

}  // namespace
}  // namespace aquatint::quant
