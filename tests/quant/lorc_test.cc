// Low-rank compensation: the decomposition against matrices whose singular values are known, the factors that
// are stored, and models that carry them.
#include <cmath>

#include "base/rng.h"
#include "pipeline_fixture.h"
#include "quant/input_statistics.h"
#include "quant/low_rank.h"

namespace aquatint::quant {
namespace {

using Values = std::vector<double>;

// `count` orthonormal vectors of `length`, by Gram and Schmidt.
std::vector<Values> orthonormal(int64_t count, int64_t length, uint64_t seed) {
  base::Rng rng(seed);
  std::vector<Values> found;
  while (std::ssize(found) < count) {
    Values v(static_cast<size_t>(length));
    for (double& x : v) x = rng.normal();
    for (int twice = 0; twice < 2; ++twice)
      for (const Values& other : found) {
        double dot = 0;
        for (size_t i = 0; i < v.size(); ++i) dot += v[i] * other[i];
        for (size_t i = 0; i < v.size(); ++i) v[i] -= dot * other[i];
      }
    double size = 0;
    for (const double x : v) size += x * x;
    for (double& x : v) x /= std::sqrt(size);
    found.push_back(v);
  }
  return found;
}

double singular_value(int64_t i) { return 3.0 / (1.0 + 0.2 * static_cast<double>(i)); }

// E such that E · D has the singular values above, D diagonal; H = D².
struct Known {
  std::vector<float> e, h;
  int64_t rows, cols;

  Known(int64_t rows, int64_t cols, bool weighted) : rows(rows), cols(cols) {
    const int64_t rank = std::min(rows, cols);
    const auto u = orthonormal(rank, rows, 1), v = orthonormal(rank, cols, 2);
    const auto width = static_cast<size_t>(cols);
    Values d(width, 1.0);
    base::Rng rng(3);
    if (weighted)
      for (double& x : d) x = std::exp(rng.normal());
    if (weighted) h.resize(width * width);
    for (size_t c = 0; weighted && c < width; ++c) h[c * width + c] = static_cast<float>(d[c] * d[c]);
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r)
      for (size_t c = 0; c < width; ++c) {
        double sum = 0;
        for (size_t i = 0; i < static_cast<size_t>(rank); ++i)
          sum += u[i][r] * singular_value(static_cast<int64_t>(i)) * v[i][c];
        e.push_back(static_cast<float>(sum / d[c]));
      }
  }

  // tr((E − L R) H (E − L R)ᵀ)
  double left_over(const std::vector<float>& left, const std::vector<float>& right) const {
    const size_t rank = left.size() / static_cast<size_t>(rows), width = static_cast<size_t>(cols);
    double sum = 0;
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r)
      for (size_t c = 0; c < width; ++c) {
        double rest = e[r * width + c];
        for (size_t i = 0; i < rank; ++i) rest -= double{left[r * rank + i]} * right[i * width + c];
        sum += rest * rest * (h.empty() ? 1.0 : h[c * width + c]);
      }
    return sum;
  }
};

TEST(LowRank, KeepsWhatASingularValueDecompositionKeeps) {
  base::ThreadPool pool(2);
  const model::Backend backend{&kernels::kernel_set("auto"), &pool};
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{40, 70}, {96, 33}, {9, 9}})
    for (const bool weighted : {false, true}) {
      const Known known(rows, cols, weighted);
      for (const int64_t rank : {int64_t{1}, int64_t{2}, int64_t{8}, std::min(rows, cols)}) {
        const auto left = leading_directions(known.e, rows, known.h, rank, backend);
        const auto right = fitted_right(known.e, left, rank, backend);
        double bound = 0, whole = 0;
        for (int64_t i = 0; i < std::min(rows, cols); ++i) {
          whole += singular_value(i) * singular_value(i);
          if (i >= rank) bound += singular_value(i) * singular_value(i);
        }
        // kSettled of low_rank.cc, a few steps before the end, and FP32.
        EXPECT_NEAR(known.left_over(left, right), bound, 2e-4 * whole)
            << rows << " x " << cols << " rank " << rank << " weighted " << weighted;
      }
    }
}

struct Compensated {
  double error;
  uint64_t bytes;
};

// A random matrix in W4A16, rtn, g32, with and without the inputs' H.
Compensated compensated(int rank, int bits, const InputStatistics* inputs, const model::Backend& backend) {
  constexpr int64_t kRows = 64, kCols = 96;
  base::Rng rng(7);
  std::vector<float> w(kRows * kCols);
  for (float& x : w) x = static_cast<float>(rng.normal());
  numeric::Scheme scheme = numeric::with_group(*numeric::find_scheme("W4A16"), 32);
  MethodStep step = make_step("lorc");
  step.settings = {{"rank", rank}, {"bits", bits}};
  if (rank > 0) lorc.extend(step.settings, scheme);
  tensor::QuantizedMatrix m = rtn.quantize(w, kRows, kCols, scheme.weights, {}, *backend.pool);
  if (rank > 0) lorc.compensate(w, step.settings, inputs, backend, m);
  std::vector<float> found(w.size());
  tensor::dequantize(m, 0, kRows, found.data());
  for (size_t i = 0; i < w.size(); ++i) found[i] -= w[i];
  double sum = 0;
  for (const float x : found) sum += double{x} * x;
  return {inputs ? inputs->output_error(found) : sum, m.stored_bytes};
}

TEST(Lorc, LosesLessWithEveryDirection) {
  base::ThreadPool pool(2);
  const model::Backend backend{&kernels::kernel_set("auto"), &pool};
  base::Rng rng(8);
  std::vector<float> x(300 * 96);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(rng.normal() * (1 + static_cast<double>(i % 96 % 7)));
  const InputStatistics seen(x, 96, "test", backend);
  for (const InputStatistics* inputs : {static_cast<const InputStatistics*>(nullptr), &seen})
    for (const int bits : {8, 16}) {
      const Compensated none = compensated(0, bits, inputs, backend);
      double before = none.error;
      for (const int rank : {1, 2, 4, 8, 16, 32, 64}) {
        const Compensated now = compensated(rank, bits, inputs, backend);
        EXPECT_LT(now.error, before) << "rank " << rank << ", " << bits << " bits";
        const auto numbers = static_cast<uint64_t>(rank * (64 + 96));
        EXPECT_EQ(now.bytes - none.bytes,
                  bits == 16 ? 2 * numbers : numbers + 2 * static_cast<uint64_t>(rank + 64));
        before = now.error;
      }
      EXPECT_LT(before, 1e-3 * none.error);  // of full rank, only the factors' rounding is left
    }
}

TEST(Lorc, RefusesWhatDoesNotFit) {
  numeric::Scheme scheme = *numeric::find_scheme("W8A16");
  EXPECT_THROW(lorc.extend({{"rank", 8}, {"bits", 12}}, scheme), base::BadUsage);
  lorc.extend({{"rank", 8}, {"bits", 8}}, scheme);
  EXPECT_THROW(empty_matrix(7, 100, scheme.weights), base::BadUsage);
  EXPECT_NO_THROW(empty_matrix(8, 100, scheme.weights));
  std::vector<MethodStep> wrong = {make_step("lorc"), make_step("rtn")};
  EXPECT_THROW(complete_methods(wrong), base::BadUsage);
  EXPECT_EQ(complete_methods({make_step("lorc")}).front().method, &rtn);
  EXPECT_EQ(complete_methods({make_step("awq"), make_step("lorc")}).at(1).method, &rtn);
}

std::vector<float> hidden_states(const std::shared_ptr<const checkpoint::Checkpoint>& from,
                                 kernels::Precision precision, std::string_view kernels = "auto") {
  const test::Runner runner(from, kernels::kernel_set(kernels), precision, 2);
  model::KvCache cache = runner.cache();
  return runner.run(test::some_tokens(20), cache, kernels::Phase::prefill);
}

CalibrationSet few_tokens() {
  CalibrationSet set;
  for (uint64_t seed = 0; seed < 20; ++seed) set.sequences.push_back(test::some_tokens(48, seed));
  return set;
}

// The factors that run beside the codes, stacked (q, k, v) or not, are those of the values that are written
// as one matrix.
TEST_F(Pipeline, AModelWithLowRankPartsIsWhatItsValuesSay) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = few_tokens();
  const Report plain = run(*source, "W4A16", {.method = "gptq", .calibration = &tokens}, "gptq");
  const Report made = run(*source, "W4A16", {.method = "gptq lorc", .calibration = &tokens}, "lorc");
  EXPECT_EQ(made.layout, "aquatint");
  EXPECT_EQ(made.method, "gptq, lorc");
  EXPECT_GT(made.bits_per_weight, plain.bits_per_weight);
  for (size_t i = 0; i < 3; ++i)  // q, k, v of the first block meet the same inputs in both
    EXPECT_LT(made.layers[i].relative_error, plain.layers[i].relative_error);
  const Report dry = run(*source, "W4A16", {.method = "gptq lorc", .dry_run = true}, "dry");
  EXPECT_EQ(dry.bytes, made.bytes);
  EXPECT_EQ(dry.bits_per_weight, made.bits_per_weight);

  convert(*open("lorc"), folder_ / "values", "safetensors", &numeric::fp32, pool_);
  convert(*open("lorc"), folder_ / "again", "aquatint", nullptr, pool_);
  EXPECT_THROW(convert(*open("lorc"), folder_ / "not", "compressed-tensors", nullptr, pool_), base::BadUsage);
  for (const LayerReport& layer : made.layers) {
    const auto once = open("lorc"), twice = open("again");
    const tensor::QuantizedMatrix a = once->weight(layer.name), b = twice->weight(layer.name);
    EXPECT_EQ(values(a), values(b)) << layer.name;
    EXPECT_EQ(values(a.low_rank->right), values(b.low_rank->right)) << layer.name;
    EXPECT_EQ(a.stored_bytes, b.stored_bytes);
    EXPECT_EQ(a.stored_bytes, layer.bytes);
  }
  for (const kernels::KernelSet* set : kernels::kernel_sets()) {
    if (!set->usable()) continue;
    const auto of_values = hidden_states(open("values"), kernels::Precision::fp32, set->name);
    const auto of_parts = hidden_states(open("lorc"), kernels::Precision::fp32, set->name);
    ASSERT_EQ(of_values.size(), of_parts.size());
    for (size_t i = 0; i < of_values.size(); ++i)
      ASSERT_NEAR(of_parts[i], of_values[i], 2e-5) << set->name << " at " << i;
  }
}

TEST_F(Pipeline, LowRankPartsDoNotDependOnThreadsOrBatches) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = few_tokens();
  base::ThreadPool one(1), three(3);
  for (const std::string method : {"rtn lorc", "awq lorc"}) {
    run(*source, "W4A8", {.method = method, .calibration = &tokens}, method + " 1", &one);
    run(*source, "W4A8", {.method = method, .calibration = &tokens}, method + " 3", &three);
    EXPECT_EQ(open(method + " 1")->sha256(), open(method + " 3")->sha256()) << method;
  }
  for (const kernels::Phase phase : {kernels::Phase::prefill, kernels::Phase::decode}) {
    const test::Runner runner(open("rtn lorc 1"), kernels::kernel_set("auto"), kernels::Precision::bf16, 2);
    const std::vector<int32_t> text = test::some_tokens(9);
    model::KvCache together = runner.cache(), alone = runner.cache();
    const std::vector<float> all = runner.run(text, together, phase);
    std::vector<float> each;
    for (const int32_t token : text) {
      const std::vector<float> row = runner.run({&token, 1}, alone, phase);
      each.insert(each.end(), row.begin(), row.end());
    }
    EXPECT_EQ(all, each);
  }
}

}  // namespace
}  // namespace aquatint::quant
