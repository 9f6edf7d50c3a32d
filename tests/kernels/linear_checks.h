// What every set's linears are tested for; the including file says which sets.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "base/error.h"
#include "cases/linear_cases.h"
#include "kernels/guarded.h"
#include "kernels/input_rounding.h"
#include "kernels/ops.h"

namespace aquatint::kernels {
namespace {

using cases::WeightKind;
using tensor::QuantizedMatrix;

WeightKind kind_of(std::string_view name) {
  const auto kinds = cases::weight_kinds();
  return *std::find_if(kinds.begin(), kinds.end(), [&](const WeightKind& k) { return k.name == name; });
}

struct Case {
  int64_t out, in, rows, misalignment;
};

// What any set may differ from exact arithmetic on the rounded input, element by element:
//   a chain of `in` FP32 operations, twice (codes and offsets apart):  2 (in + 8) 2^-24 Σ (|code part| +
//   |offset part|) |x| unless precision is FP32: a weight rounded to BF16: Σ |w − bf16(w)| |x| inputs of
//   integer codes and codebooks in 16-bit block fixed point: Σ |w| m / 65534, m the largest |x| of 64 columns
//   a codebook's value at 1 / 2047 of the largest:                     Σ scale · largest / 4094 |x|
//   or, on GPUs, rounded to BF16:                                      Σ scale |v − bf16(v)| |x|
// Outliers of the input are a second chain of their own.
// Outliers of the input are a second chain, of FP32 operations too.
// In int8 precision inputs of integer codes are round_blocks' in generated tokens; prompts and irregular
// groups may keep the BF16 ones, which differ by Σ |w| m / 254.
struct Expected {
  std::vector<double> value, bound;
};

// A GPU's kernels, perhaps over an emulated device, which takes its time.
bool on_gpu(const KernelSet& set) { return set.name.find("cuda") != std::string_view::npos; }
bool is_slow(const KernelSet& set) { return set.name.starts_with("emulated"); }

bool is_integer_kind(const QuantizedMatrix& m) {
  return !m.plain() && m.format->kind == numeric::Kind::integer;
}
bool is_codebook(const QuantizedMatrix& m) {
  return !m.plain() && !is_integer_kind(m) && m.format->bits <= 4;
}

// Groups that fast sets do not keep as codes.
bool irregular(const QuantizedMatrix& m) { return m.block_cols < m.cols && m.block_cols % 16 != 0; }

// Σ |w| m · step over one row of weights, m the largest |x| of each input block.
double block_step(const float* w, const float* x, int64_t cols, double step) {
  double total = 0;
  for (int64_t begin = 0; begin < cols; begin += kInputBlock) {
    double largest = 0, weights = 0;
    for (int64_t k = begin; k < std::min(begin + kInputBlock, cols); ++k) {
      largest = std::max(largest, std::fabs(static_cast<double>(x[k])));
      weights += std::fabs(w[k]);
    }
    total += largest * weights * step;
  }
  return total;
}

double magnitude_of_parts(const QuantizedMatrix& m, int64_t row, int64_t col, float value) {
  if (m.plain()) return std::fabs(value);
  const int64_t block = m.block_of(row, col);
  double offset = 0;
  if (!m.zero_points.empty())
    offset = std::fabs(m.scales.at(block) * m.zero_points[static_cast<size_t>(block)]);
  if (m.format->bits == 8 && m.format->decode(255) == 255.0f) offset += 128 * std::fabs(m.scales.at(block));
  if (m.minima.present()) offset += std::fabs(m.minima.at(block));
  return std::fabs(value) + 2 * offset;
}

double bf16_error(double value) {
  const auto v = static_cast<float>(value);
  return std::fabs(v - numeric::bf16_to_float(numeric::float_to_bf16(v)));
}

Expected expect_linear(const KernelSet& set, const QuantizedMatrix& m, Precision precision, Phase phase,
                       const float* x, int64_t rows, const float* bias) {
  std::vector<float> w(static_cast<size_t>(m.rows * m.cols)), input(static_cast<size_t>(m.cols)),
      met(input.size());
  tensor::dequantize(m, 0, m.rows, w.data());
  const bool rounds = precision != Precision::fp32;
  const bool fast = precision == Precision::int8 && is_integer_kind(m) && !m.input.format;
  const bool own_codes = m.input.format && m.input.format->kind == numeric::Kind::integer;
  const bool fixed_point = rounds && !own_codes && (is_integer_kind(m) || is_codebook(m));
  Expected e;
  for (int64_t r = 0; r < rows; ++r) {
    const double scale = round_input(m.input, precision, x + r * m.cols, m.cols, input.data());
    met = input;
    if (fast && phase == Phase::decode) round_blocks(input.data(), m.cols, met.data());
    for (int64_t o = 0; o < m.rows; ++o) {
      const float* row = w.data() + o * m.cols;
      double sum = 0, magnitude = 0, rounding = 0, outliers = 0, outlier_magnitude = 0;
      for (int64_t k = 0; k < m.cols; ++k) {
        const double outlier = outlier_of(m.input, precision, x[r * m.cols + k]);
        outliers += row[k] * outlier;
        outlier_magnitude += std::fabs(row[k] * outlier);
        const double value = met[static_cast<size_t>(k)];
        sum += row[k] * value;
        magnitude += magnitude_of_parts(m, o, k, row[k]) * std::fabs(value);
        rounding +=
            std::fabs(row[k] - numeric::bf16_to_float(numeric::float_to_bf16(row[k]))) * std::fabs(value);
        if (!is_codebook(m)) continue;
        const double unit = m.scales.at(m.block_of(o, k));
        rounding += unit * m.format->max / 4094 * std::fabs(value);
        if (on_gpu(set)) rounding += unit * bf16_error(row[k] / unit) * std::fabs(value);
      }
      if (fixed_point) rounding += block_step(row, input.data(), m.cols, 1.0 / 65534);
      if (fast && (phase == Phase::prefill || irregular(m)))
        rounding += block_step(row, input.data(), m.cols, 1.0 / 254);
      const double step = 2.0 * static_cast<double>(m.cols + 8) * 0x1p-24, chain = step * magnitude;
      e.value.push_back(sum * scale + outliers + bias[o]);
      e.bound.push_back(scale * (chain + (rounds ? rounding * 1.01 : 0)) + step * outlier_magnitude +
                        (std::fabs(sum * scale) + std::fabs(outliers) + std::fabs(bias[o])) * 0x1p-22 +
                        1e-30);
    }
  }
  return e;
}

const char* name_of(Precision precision) {
  return precision == Precision::fp32 ? "fp32" : precision == Precision::bf16 ? "bf16" : "int8";
}

// Worked out once for all sets of a test program.
const Expected& expected_of(const KernelSet& set, const WeightKind& kind, const QuantizedMatrix& m,
                            const Case& c, Precision precision, Phase phase, const std::vector<float>& x,
                            const std::vector<float>& bias) {
  using Key = std::tuple<std::string, int64_t, int64_t, int64_t, int64_t, Precision, Phase, bool>;
  static std::map<Key, Expected> known;
  const Key key(kind.name, c.out, c.in, c.rows, c.misalignment, precision, phase, on_gpu(set));
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  return known[key] = expect_linear(set, m, precision, phase, x.data() + c.misalignment, c.rows, bias.data());
}

void check(const KernelSet& set, const WeightKind& kind, const Case& c, Precision precision,
           base::ThreadPool& pool) {
  const QuantizedMatrix m =
      cases::random_matrix(kind, c.out, c.in, 7 + static_cast<uint64_t>(c.out * 1000 + c.in));
  const QuantizedMatrix* part = &m;
  const std::vector<float> x = cases::random_floats(c.rows * c.in + c.misalignment, 11);
  const std::vector<float> bias = cases::random_floats(c.out, 12);
  const auto packed = set.pack({&part, 1}, precision, pool);
  ASSERT_EQ(packed->rows(), c.out);
  ASSERT_EQ(packed->cols(), c.in);
  for (const Phase phase : {Phase::prefill, Phase::decode}) {
    const Expected& e = expected_of(set, kind, m, c, precision, phase, x, bias);
    Guarded y(c.rows * c.out, c.misalignment);
    set.linear(*packed, x.data() + c.misalignment, c.rows, phase, bias.data(), false, y.data(), c.out, pool);
    y.expect_intact();
    Worst worst;
    for (int64_t i = 0; i < c.rows * c.out; ++i)
      worst.see(i, y[i], e.value[static_cast<size_t>(i)], e.bound[static_cast<size_t>(i)]);
    worst.expect_within(fmt::format("{} {} {} {}x{}, {} rows, {}", set.name, kind.name, name_of(precision),
                                    c.out, c.in, c.rows, phase == Phase::prefill ? "prefill" : "decode"));
  }
}

bool divides(const WeightKind& kind, int64_t cols) { return kind.group >= 0 || cols % -kind.group == 0; }

class Linear : public testing::TestWithParam<const KernelSet*> {};

TEST_P(Linear, EveryWeightKindIsWithinItsBound) {
  base::ThreadPool pool(2);
  for (const WeightKind& kind : cases::weight_kinds())
    for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8})
      for (const Case& c : {Case{33, 192, 3, 0}, Case{70, 576, 9, 1}, Case{16, 64, 1, 3}})
        check(*GetParam(), kind, c, precision, pool);
}

TEST_P(Linear, OddShapesAreWithinTheirBounds) {
  base::ThreadPool pool(3);
  const auto kinds = cases::weight_kinds();
  for (const int64_t out : {1, 2, 3, 15, 16, 17, 31, 33, 64, 65, 100}) {
    if (is_slow(*GetParam()) && out % 8 > 1) continue;
    for (const int64_t in : {1, 2, 3, 15, 17, 31, 33, 65, 100, 576})
      for (const WeightKind& kind : kinds)
        if (kind.name == "bf16" || kind.name == "w8a8" || kind.name == "w4_channel" ||
            kind.name == "odd_group")
          check(*GetParam(), kind, {out, in, 1 + (out + in) % 5, (out + in) % 4},
                in % 3 == 0   ? Precision::int8
                : in % 3 == 1 ? Precision::bf16
                              : Precision::fp32,
                pool);
  }
}

// Bits of each row's outputs must not depend on its company, the chunking or the number of threads.
TEST_P(Linear, RowsDoNotDependOnTheirCompany) {
  const KernelSet& set = *GetParam();
  const int64_t kOut = set.name == "ref" ? 5 : is_slow(set) ? 70 : 150;
  const int64_t kIn = 320, kRows = is_slow(set) ? 19 : 40;
  const std::vector<float> x = cases::random_floats(kRows * kIn, 5);
  for (const WeightKind& kind : cases::weight_kinds()) {
    if (!divides(kind, kIn)) continue;
    const QuantizedMatrix m = cases::random_matrix(kind, kOut, kIn, 3);
    const QuantizedMatrix* part = &m;
    for (const auto& [phase, precision] : {std::pair{Phase::prefill, Precision::fp32},
                                           {Phase::prefill, Precision::bf16},
                                           {Phase::decode, Precision::bf16},
                                           {Phase::prefill, Precision::int8},
                                           {Phase::decode, Precision::int8}}) {
      if (is_slow(set) && phase == Phase::prefill && precision == Precision::int8) continue;  // as bf16
      std::vector<float> want(static_cast<size_t>(kRows * kOut));
      base::ThreadPool one(1);
      const auto first = set.pack({&part, 1}, precision, one);
      for (int64_t r = 0; r < kRows; ++r)
        set.linear(*first, x.data() + r * kIn, 1, phase, nullptr, false, want.data() + r * kOut, kOut, one);
      for (const int threads : {1, 2, 3}) {
        if (is_slow(set) && threads < 3) continue;
        base::ThreadPool pool(threads);
        const auto packed = set.pack({&part, 1}, precision, pool);
        for (int64_t rows = is_slow(set) ? 3 : 1; rows <= kRows; rows += is_slow(set)   ? 8
                                                                         : threads == 2 ? 1
                                                                                        : 13) {
          std::vector<float> y(static_cast<size_t>(rows * kOut));
          set.linear(*packed, x.data() + (kRows - rows) * kIn, rows, phase, nullptr, false, y.data(), kOut,
                     pool);
          ASSERT_EQ(0, std::memcmp(y.data(), want.data() + (kRows - rows) * kOut, y.size() * sizeof(float)))
              << set.name << " " << kind.name << ", " << rows << " rows, " << threads << " threads";
        }
      }
    }
  }
}

TEST_P(Linear, PartsAreStackedAndResultsAccumulate) {
  const KernelSet& set = *GetParam();
  base::ThreadPool pool(2);
  const QuantizedMatrix a = cases::random_matrix(kind_of("bf16"), 21, 64, 1);
  const QuantizedMatrix b = cases::random_matrix(kind_of("q4_1"), 40, 64, 2);
  const QuantizedMatrix* const parts[] = {&a, &b};
  const std::vector<float> x = cases::random_floats(5 * 64, 3), before = cases::random_floats(5 * 61, 4);
  const auto both = set.pack({parts, 2}, Precision::bf16, pool);
  ASSERT_EQ(both->rows(), 61);
  for (const Phase phase : {Phase::prefill, Phase::decode}) {
    std::vector<float> y = before, ya(5 * 21), yb(5 * 40);
    set.linear(*both, x.data(), 5, phase, nullptr, true, y.data(), 61, pool);
    set.linear(*set.pack({parts, 1}, Precision::bf16, pool), x.data(), 5, phase, nullptr, false, ya.data(),
               21, pool);
    set.linear(*set.pack({parts + 1, 1}, Precision::bf16, pool), x.data(), 5, phase, nullptr, false,
               yb.data(), 40, pool);
    for (int64_t r = 0; r < 5; ++r)
      for (int64_t o = 0; o < 61; ++o) {
        const float alone =
            o < 21 ? ya[static_cast<size_t>(r * 21 + o)] : yb[static_cast<size_t>(r * 40 + o - 21)];
        const auto at = static_cast<size_t>(r * 61 + o);
        EXPECT_NEAR(y[at], alone + before[at], 1e-6 * (1 + std::fabs(alone))) << r << " " << o;
      }
  }
}

// Rows of y a stride apart: what lies between them stays.
TEST_P(Linear, WritesIntoColumns) {
  const KernelSet& set = *GetParam();
  constexpr int64_t kOut = 37, kIn = 128, kRows = 21, kStride = 90, kFirst = 12;
  base::ThreadPool pool(2);
  const std::vector<float> x = cases::random_floats(kRows * kIn, 3),
                           before = cases::random_floats(kRows * kStride, 4);
  for (const WeightKind& kind : cases::weight_kinds()) {
    if (!divides(kind, kIn)) continue;
    const QuantizedMatrix m = cases::random_matrix(kind, kOut, kIn, 1);
    const QuantizedMatrix* part = &m;
    const auto packed = set.pack({&part, 1}, Precision::bf16, pool);
    for (const Phase phase : {Phase::prefill, Phase::decode}) {
      std::vector<float> want(kRows * kOut), got = before;
      for (int64_t r = 0; r < kRows; ++r)
        std::copy_n(before.data() + r * kStride + kFirst, kOut, want.data() + r * kOut);
      set.linear(*packed, x.data(), kRows, phase, nullptr, true, want.data(), kOut, pool);
      set.linear(*packed, x.data(), kRows, phase, nullptr, true, got.data() + kFirst, kStride, pool);
      for (int64_t r = 0; r < kRows; ++r)
        for (int64_t i = 0; i < kStride; ++i) {
          const bool inside = i >= kFirst && i < kFirst + kOut;
          ASSERT_EQ(got[static_cast<size_t>(r * kStride + i)],
                    inside ? want[static_cast<size_t>(r * kOut + i - kFirst)]
                           : before[static_cast<size_t>(r * kStride + i)])
              << set.name << " " << kind.name << ", row " << r << ", column " << i;
        }
    }
  }
}

// A part's bits must not depend on the parts it is stacked with.
TEST_P(Linear, PartsKeepTheirArithmetic) {
  constexpr int64_t kIn = 128, kRows = 5;
  const KernelSet& set = *GetParam();
  base::ThreadPool pool(2);
  const std::vector<float> x = cases::random_floats(kRows * kIn, 3);
  const auto matrix = [&](std::string_view name, int64_t out) {
    return cases::random_matrix(kind_of(name), out, kIn, 1);
  };
  const auto multiply = [&](std::span<const QuantizedMatrix* const> parts, Precision precision, Phase phase) {
    const auto packed = set.pack(parts, precision, pool);
    std::vector<float> y(static_cast<size_t>(kRows * packed->rows()));
    set.linear(*packed, x.data(), kRows, phase, nullptr, false, y.data(), packed->rows(), pool);
    return y;
  };
  const auto expect_kept = [&](const QuantizedMatrix& a, const QuantizedMatrix& b, Precision precision,
                               Phase phase, const std::string& what) {
    const QuantizedMatrix* const parts[] = {&a, &b};
    const std::vector<float> both = multiply(parts, precision, phase),
                             first = multiply({parts, 1}, precision, phase),
                             second = multiply({parts + 1, 1}, precision, phase);
    for (int64_t r = 0; r < kRows; ++r) {
      const float* row = both.data() + r * (a.rows + b.rows);
      EXPECT_TRUE(std::equal(row, row + a.rows, first.data() + r * a.rows)) << what << ", first part";
      EXPECT_TRUE(std::equal(row + a.rows, row + a.rows + b.rows, second.data() + r * b.rows))
          << what << ", second part";
    }
  };
  for (const auto& [a, b] : {std::pair{"w4a16", "nf4"},
                             {"nf4", "int8_channel"},
                             {"bf16", "q4_1"},
                             {"fp8_channel", "int8_channel"},
                             {"w8a8", "w4a8"}})
    for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8})
      for (const Phase phase : {Phase::prefill, Phase::decode})
        expect_kept(matrix(a, 21), matrix(b, 40), precision, phase,
                    fmt::format("{} {} on {} {} {}", set.name, a, b, name_of(precision),
                                phase == Phase::prefill ? "prefill" : "decode"));
}

// In FP32 precision weights that are BF16 may stay so, with nothing lost against the same values in FP32.
TEST_P(Linear, Bf16WeightsStandForTheirFp32Values) {
  constexpr int64_t kOut = 37, kIn = 320, kRows = 21;
  const KernelSet& set = *GetParam();
  base::ThreadPool pool(2);
  const std::vector<float> x = cases::random_floats(kRows * kIn, 3);
  const QuantizedMatrix narrow = cases::random_matrix(kind_of("bf16"), kOut, kIn, 1);
  std::vector<float> values(kOut * kIn);
  tensor::dequantize(narrow, 0, kOut, values.data());
  const QuantizedMatrix wide = tensor::plain_matrix(values, kOut, kIn);
  for (const Phase phase : {Phase::prefill, Phase::decode}) {
    std::vector<float> y[2];
    for (const QuantizedMatrix* part : {&narrow, &wide}) {
      std::vector<float>& to = y[part == &wide];
      to.resize(kRows * kOut);
      set.linear(*set.pack({&part, 1}, Precision::fp32, pool), x.data(), kRows, phase, nullptr, false,
                 to.data(), kOut, pool);
    }
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t o = 0; o < kOut; ++o) {
        double magnitude = 0;
        for (int64_t k = 0; k < kIn; ++k)
          magnitude +=
              std::fabs(values[static_cast<size_t>(o * kIn + k)] * x[static_cast<size_t>(r * kIn + k)]);
        const auto at = static_cast<size_t>(r * kOut + o);
        ASSERT_NEAR(y[0][at], y[1][at], 2 * (kIn + 8) * 0x1p-24 * magnitude) << set.name << " row " << r;
      }
  }
}

TEST_P(Linear, CompactFormsStayCompact) {
  if (GetParam()->name == "ref") return;  // keeps FP32 values
  base::ThreadPool pool(1);
  const auto bits = [&](std::string_view name) {
    for (const WeightKind& kind : cases::weight_kinds())
      if (kind.name == name) {
        const QuantizedMatrix m = cases::random_matrix(kind, 64, 512, 1);
        const QuantizedMatrix* part = &m;
        return static_cast<double>(GetParam()->pack({&part, 1}, Precision::bf16, pool)->bytes()) * 8 /
               (64 * 512);
      }
    return 0.0;
  };
  EXPECT_EQ(bits("bf16"), 16);
  EXPECT_LE(bits("int8_channel"), 8.2);
  EXPECT_LE(bits("w4a16"), 4.26);
  EXPECT_LE(bits("q4_1"), 5.01);
  EXPECT_LE(bits("nf4"), 4.51);
  EXPECT_LE(bits("q4_k"), 5.26);                      // two groups under a factor instead of GGUF's eight
  const double of_six = on_gpu(*GetParam()) ? 8 : 6;  // GPUs keep them in bytes
  EXPECT_LE(bits("q6_k"), of_six + 2.01);
  EXPECT_LE(bits("int6_g64"), of_six + 0.26);
}

std::string set_name(const testing::TestParamInfo<const KernelSet*>& info) {
  return std::string(info.param->name);
}
}  // namespace
}  // namespace aquatint::kernels
