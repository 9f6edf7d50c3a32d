#include <gtest/gtest.h>

#include <cstring>

#include "cases/linear_cases.h"
#include "kernels/guarded.h"
#include "kernels/ref/ref.h"

namespace aquatint::kernels {
namespace {

struct Case {
  int64_t heads, kv_heads, dim, window, tokens;
};

// One sequence with its cache filled by a set.
struct Sequence {
  Sequence(const KernelSet& set, const Case& c, Precision precision, base::ThreadPool& pool, uint64_t seed)
      : shape{c.heads, c.kv_heads, c.dim, c.window, 1.0f / std::sqrt(static_cast<float>(c.dim))},
        capacity(c.tokens + 7),
        stride((c.heads + 2 * c.kv_heads) * c.dim + 3),
        qkv(cases::random_floats(c.tokens * stride, seed, 1.5)),
        keys(static_cast<size_t>(c.kv_heads * capacity * c.dim * 4)),
        values(keys.size()) {
    std::memset(keys.data(), 0xff, keys.size());  // NaN wherever nothing was stored
    std::memset(values.data(), 0xff, values.size());
    const float* k = qkv.data() + c.heads * c.dim;
    set.store_kv(span(0, 0, c.tokens), shape, precision, k, k + c.kv_heads * c.dim, stride, pool);
  }
  AttentionSpan span(int64_t first_row, int64_t position, int64_t rows) {
    return {{keys.data(), values.data(), capacity}, first_row, rows, position};
  }

  AttentionShape shape;
  int64_t capacity, stride;
  std::vector<float> qkv;
  std::vector<std::byte> keys, values;
};

const Case kCases[] = {{4, 4, 16, 0, 5}, {9, 3, 64, 0, 70},  {4, 2, 80, 9, 40},  {2, 1, 33, 0, 33},
                       {6, 2, 7, 3, 20}, {8, 1, 128, 0, 17}, {3, 3, 64, 0, 700}, {4, 2, 32, 520, 1100}};

class Attention : public testing::TestWithParam<const KernelSet*> {
 protected:
  const KernelSet& set_ = *GetParam();
  base::ThreadPool pool_{2};
};

// A score is a chain of dim products, so its error is at most (dim + 2) eps · Σ|q k| · scale; weights differ
// by twice that, relatively, plus the exponential's and the running sums'. Values then average with these
// weights.
void expect_close(const Sequence& s, const Case& c, const float* got, const float* want,
                  const std::string& what) {
  double most_score = 0, most_value = 0;
  for (const float x : s.qkv) most_value = std::max(most_value, static_cast<double>(std::fabs(x)));
  most_score = most_value * most_value * static_cast<double>(c.dim) * s.shape.scale;
  const double relative = 0x1p-24 * (2 * static_cast<double>(c.dim + 2) * most_score + 2.0 * c.tokens + 32);
  Worst worst;
  for (int64_t i = 0; i < c.tokens * c.heads * c.dim; ++i)
    worst.see(i, got[i], want[i], relative * most_value);
  worst.expect_within(what);
}

TEST_P(Attention, MatchesTheDefinition) {
  for (const Case& c : kCases)
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      Sequence s(set_, c, precision, pool_, 1);
      std::vector<float> want(static_cast<size_t>(c.tokens * c.heads * c.dim));
      const AttentionSpan span = s.span(0, 0, c.tokens);
      ref::attention({&span, 1}, s.shape, precision, Phase::prefill, s.qkv.data(), s.stride, want.data(),
                     pool_);
      for (const Phase phase : {Phase::prefill, Phase::decode}) {
        Guarded out(c.tokens * c.heads * c.dim, 1);
        set_.attention({&span, 1}, s.shape, precision, phase, s.qkv.data(), s.stride, out.data(), pool_);
        out.expect_intact();
        expect_close(s, c, out.data(), want.data(),
                     fmt::format("{} {} heads of {}, window {}, {} tokens, {}", set_.name, c.heads, c.dim,
                                 c.window, c.tokens, phase == Phase::prefill ? "prefill" : "decode"));
      }
    }
}

TEST_P(Attention, BitsDoNotDependOnChunksBatchesOrThreads) {
  for (const Case& c : {kCases[1], kCases[2], kCases[7]})
    for (const Phase phase : {Phase::prefill, Phase::decode}) {
      base::ThreadPool one(1);
      Sequence a(set_, c, Precision::bf16, one, 1), b(set_, c, Precision::bf16, one, 2);
      const int64_t width = c.heads * c.dim;
      std::vector<float> want(static_cast<size_t>(c.tokens * width)), other(want.size());
      const AttentionSpan whole = a.span(0, 0, c.tokens), whole_b = b.span(0, 0, c.tokens);
      set_.attention({&whole, 1}, a.shape, Precision::bf16, phase, a.qkv.data(), a.stride, want.data(), one);
      set_.attention({&whole_b, 1}, b.shape, Precision::bf16, phase, b.qkv.data(), b.stride, other.data(),
                     one);
      for (const int threads : {1, 2, 3})
        for (const int64_t chunk : {1, 7, 29}) {
          base::ThreadPool pool(threads);
          for (int64_t p = 0; p < c.tokens; p += chunk) {
            if (c.tokens > 200 && p % 300 > 60) continue;
            // Both sequences' next rows in one batch.
            const int64_t rows = std::min(chunk, c.tokens - p);
            std::vector<float> q(a.qkv.begin() + p * a.stride, a.qkv.begin() + (p + rows) * a.stride);
            q.insert(q.end(), b.qkv.begin() + p * b.stride, b.qkv.begin() + (p + rows) * b.stride);
            const AttentionSpan spans[] = {a.span(0, p, rows), b.span(rows, p, rows)};
            std::vector<float> out(static_cast<size_t>(2 * rows * width));
            set_.attention({spans, 2}, a.shape, Precision::bf16, phase, q.data(), a.stride, out.data(), pool);
            const size_t bytes = static_cast<size_t>(rows * width) * sizeof(float);
            ASSERT_EQ(0, std::memcmp(out.data(), want.data() + p * width, bytes)) << set_.name << " at " << p;
            ASSERT_EQ(0, std::memcmp(out.data() + rows * width, other.data() + p * width, bytes))
                << set_.name;
          }
        }
    }
}

TEST_P(Attention, StoresWhatTheDefinitionStores) {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    Sequence got(set_, kCases[2], precision, pool_, 3), want(ref::set, kCases[2], precision, pool_, 3);
    EXPECT_EQ(got.keys, want.keys);
    EXPECT_EQ(got.values, want.values);
  }
}

std::string set_name(const testing::TestParamInfo<const KernelSet*>& info) {
  return std::string(info.param->name);
}
INSTANTIATE_TEST_SUITE_P(Sets, Attention, testing::ValuesIn(usable_sets()), set_name);

}  // namespace
}  // namespace aquatint::kernels
