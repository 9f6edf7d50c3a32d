// What holds for attention and caches of every kernel set. Included once by each binary of tests, which says
// on which sets.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <tuple>

#include "cases/linear_cases.h"
#include "kernels/guarded.h"
#include "kernels/kv_layout.h"
#include "kernels/ref/ref.h"

namespace aquatint::kernels {
namespace {

struct Case {
  int64_t heads, kv_heads, dim, window, tokens;
};

constexpr KvFormat kFormats[] = {KvFormat::fp32, KvFormat::bf16, KvFormat::fp8_e4m3, KvFormat::int8,
                                 KvFormat::int4};

// One sequence and its cache.
struct Sequence {
  Sequence(const Case& c, KvFormat kv_format, uint64_t seed)
      : shape{c.heads, c.kv_heads, c.dim, c.window, 1.0f / std::sqrt(static_cast<float>(c.dim))},
        format(kv_format),
        tokens(c.tokens),
        capacity(c.tokens + 7),
        stride((c.heads + 2 * c.kv_heads) * c.dim + 3),
        qkv(cases::random_floats(c.tokens * stride, seed, 1.5)),
        memory(static_cast<size_t>(c.kv_heads * layout().head_bytes) + 64) {
    std::memset(memory.data(), 0xff, memory.size());  // NaN wherever nothing was stored
  }
  KvLayout layout() const { return kv_layout(format, shape.head_dim, capacity, kv_recent(format, 0)); }
  std::byte* data() { return memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64; }
  virtual ~Sequence() = default;
  virtual AttentionSpan span(int64_t first_row, int64_t position, int64_t rows) {
    return {{data(), format, capacity, kv_recent(format, 0)}, first_row, rows, position};
  }
  int64_t width() const { return shape.heads * shape.head_dim; }
  void store(const KernelSet& set, int64_t position, int64_t rows, base::ThreadPool& pool) {
    const float* k = qkv.data() + position * stride + width();
    const AttentionSpan part = span(0, position, rows);
    set.store_kv({{&part, 1}}, shape, k, k + shape.kv_heads * shape.head_dim, stride, pool);
  }

  AttentionShape shape;
  KvFormat format;
  int64_t tokens, capacity, stride;
  std::vector<float> qkv;
  std::vector<std::byte> memory;
};

// The same with its keys and values in pages, the second of two layers, wherever they come to lie: each
// page's neighbours in memory are others.
struct PagedSequence : Sequence {
  PagedSequence(const Case& c, KvFormat kv_format, uint64_t seed) : Sequence(c, kv_format, seed) {
    shape.layer = 1;
    const auto lines = [&](int64_t positions, int64_t recent) {
      return 2 * c.kv_heads * kv_layout(format, c.dim, positions, recent).head_bytes / kKvLine;
    };
    const int64_t count = base::ceil_div(c.tokens, kKvPage), page = lines(kKvPage, 0);
    memory.assign(static_cast<size_t>(lines(0, kv_recent(format, 0)) * kKvLine) + 64, std::byte{0xff});
    page_bytes = page * kKvLine;
    pool.resize(static_cast<size_t>(count * page + 1), Line{});
    for (Line& line : pool) std::memset(&line, 0xff, sizeof(line));
    for (int64_t i = 0; i < count; ++i) {  // odd ones first, from the end
      const int64_t place = i % 2 == 1 ? i / 2 : count - 1 - i / 2;
      pages.push_back(reinterpret_cast<std::byte*>(pool.data() + place * page));
    }
  }
  AttentionSpan span(int64_t first_row, int64_t position, int64_t rows) override {
    AttentionSpan s = Sequence::span(first_row, position, rows);
    s.cache.pages = pages.data();
    return s;
  }
  // Nothing behind the last page and nothing of the first layer was written.
  void expect_intact() const {
    const auto untouched = [](const std::byte* begin, int64_t bytes) {
      return std::all_of(begin, begin + bytes, [](std::byte b) { return b == std::byte{0xff}; });
    };
    for (const std::byte* page : pages) EXPECT_TRUE(untouched(page, page_bytes / 2)) << name(format);
    EXPECT_TRUE(untouched(reinterpret_cast<const std::byte*>(&pool.back()), kKvLine)) << name(format);
  }

  struct alignas(kKvLine) Line {
    std::byte bytes[kKvLine];
  };
  std::vector<Line> pool;
  std::vector<std::byte*> pages;
  int64_t page_bytes = 0;
};

// body(position, rows) for all tokens, at most kKvRows at a time.
template <class Body>
void for_parts(const Sequence& s, int64_t rows, Body body) {
  for (int64_t p = 0; p < s.tokens; p += rows) body(p, std::min(rows, s.tokens - p));
}

// Stored, and from token `from` on attended, kKvRows tokens at a time.
std::vector<float> attend(const KernelSet& set, Sequence& s, Precision precision, Phase phase,
                          base::ThreadPool& pool, int64_t from = 0) {
  std::vector<float> all;
  for (int64_t position = 0, rows; position < s.tokens; position += rows) {
    rows = std::min(kKvRows, (position < from ? from : s.tokens) - position);
    s.store(set, position, rows, pool);
    if (position < from) continue;
    Guarded out(rows * s.width(), 1);
    const AttentionSpan span = s.span(0, position, rows);
    set.attention({{&span, 1}}, s.shape, precision, phase, s.qkv.data() + position * s.stride, s.stride,
                  out.data(), pool);
    out.expect_intact();
    all.insert(all.end(), out.data(), out.data() + rows * s.width());
  }
  return all;
}

const Case kCases[] = {{4, 4, 16, 0, 5},   {9, 3, 64, 0, 70},   {4, 2, 80, 9, 40},    {2, 1, 33, 0, 260},
                       {6, 2, 7, 3, 20},   {8, 1, 128, 0, 17},  {2, 2, 64, 0, 700},   {2, 1, 32, 520, 1100},
                       {5, 1, 40, 0, 300}, {14, 2, 96, 0, 257}, {12, 2, 64, 65, 330}, {3, 1, 200, 0, 140},
                       {140, 1, 8, 0, 5}};

// An emulated device takes seconds where the others take milliseconds. It attends the last tokens only, and
// leaves out the longest cases, unless AQUATINT_LONG_TESTS is set.
bool is_slow(const KernelSet& set) {
  return set.name == "emulated_cuda" && std::getenv("AQUATINT_LONG_TESTS") == nullptr;
}
int64_t first_attended(const KernelSet& set, const Case& c) {
  return std::max<int64_t>(0, c.tokens - (is_slow(set) ? 9 : 150));
}

class Attention : public testing::TestWithParam<const KernelSet*> {
 protected:
  const KernelSet& set_ = *GetParam();
  base::ThreadPool pool_{2};
};

// A score is a chain of dim products, so its error is at most (dim + 6) eps · Σ|q k| · scale, scales and the
// exponent's scale included; weights differ by twice that, relatively, plus the exponential's and the running
// sums'. Values then average with these weights. int4 adds codes · scale and minima apart: the scales' part
// reaches twice the largest value, the minima once. Over integer codes generated tokens' queries and weights
// are rounded to max / 65534: dim of them in a score, kChunk where the largest weight is 1.
void expect_close(const Sequence& s, Phase phase, const std::vector<float>& got,
                  const std::vector<float>& want, const std::string& what) {
  double most_score = 0, most_value = 0;
  for (const float x : s.qkv) most_value = std::max(most_value, static_cast<double>(std::fabs(x)));
  const double addends = s.format == KvFormat::int4 ? 3 : 1, dim = static_cast<double>(s.shape.head_dim);
  most_score = addends * most_value * most_value * dim * s.shape.scale;
  constexpr double kChunk = 128;
  const bool fixed_point =
      phase == Phase::decode && (s.format == KvFormat::int8 || s.format == KvFormat::int4);
  const double relative =
      0x1p-24 * (2 * (dim + 6) * most_score + 2.0 * static_cast<double>(s.tokens) + 32) * addends +
      (fixed_point ? (2 * most_score + kChunk * addends) / 65534 : 0);
  Worst worst;
  for (size_t i = 0; i < got.size(); ++i)
    worst.see(static_cast<int64_t>(i), got[i], want[i], relative * most_value);
  worst.expect_within(what);
}

// What ref makes of a case from token `from` on, once for all sets.
const std::vector<float>& definition(size_t i, KvFormat format, Precision precision, int64_t from) {
  static std::map<std::tuple<size_t, KvFormat, int64_t>, std::vector<float>> known;
  std::vector<float>& want = known[{i, format, from}];
  if (want.empty()) {
    base::ThreadPool one(1);
    Sequence s(kCases[i], format, 1);
    want = attend(ref::set, s, precision, Phase::prefill, one, from);
  }
  return want;
}

TEST_P(Attention, MatchesTheDefinition) {
  if (&set_ == &ref::set) return;  // is the definition
  for (size_t i = 0; i < std::size(kCases); ++i)
    for (const KvFormat format : kFormats) {
      const Case& c = kCases[i];
      if (is_slow(set_) && c.tokens > 300) continue;
      const int64_t from = first_attended(set_, c);
      const Precision precision = format == KvFormat::fp32 ? Precision::fp32 : Precision::bf16;
      const std::vector<float>& want = definition(i, format, precision, from);
      for (const Phase phase : {Phase::prefill, Phase::decode}) {
        Sequence again(c, format, 1);
        expect_close(
            again, phase, attend(set_, again, precision, phase, pool_, from), want,
            fmt::format("{} {} {} heads of {}, window {}, {} tokens, {}", set_.name, name(format), c.heads,
                        c.dim, c.window, c.tokens, phase == Phase::prefill ? "prefill" : "decode"));
      }
    }
}

// Both sequences' rows in batches of `chunk` must give what each gives alone from token `from` on.
void expect_same_bits(const KernelSet& set, const Case& c, KvFormat format, Phase phase, int threads,
                      int64_t chunk, int64_t from, const std::vector<float>& want_a,
                      const std::vector<float>& want_b) {
  base::ThreadPool pool(threads);
  Sequence a(c, format, 1), b(c, format, 2);
  for_parts(a, chunk, [&](int64_t p, int64_t rows) {
    a.store(set, p, rows, pool);
    b.store(set, p, rows, pool);
    if (p < from || (c.tokens > 200 && p % 300 > 60 && from == 0)) return;
    std::vector<float> q(a.qkv.begin() + p * a.stride, a.qkv.begin() + (p + rows) * a.stride);
    q.insert(q.end(), b.qkv.begin() + p * b.stride, b.qkv.begin() + (p + rows) * b.stride);
    const AttentionSpan spans[] = {a.span(0, p, rows), b.span(rows, p, rows)};
    std::vector<float> out(static_cast<size_t>(2 * rows * a.width()));
    set.attention({spans}, a.shape, Precision::bf16, phase, q.data(), a.stride, out.data(), pool);
    const size_t bytes = static_cast<size_t>(rows * a.width()) * sizeof(float);
    ASSERT_EQ(0, std::memcmp(out.data(), want_a.data() + (p - from) * a.width(), bytes))
        << set.name << " " << name(format) << " at " << p;
    ASSERT_EQ(0, std::memcmp(out.data() + rows * a.width(), want_b.data() + (p - from) * a.width(), bytes))
        << set.name << " " << name(format) << " at " << p;
  });
}

TEST_P(Attention, BitsDoNotDependOnChunksBatchesOrThreads) {
  base::ThreadPool one(1);
  std::vector<Case> cases = {kCases[1], kCases[2]};
  if (&set_ != &ref::set) cases.insert(cases.end(), {kCases[7], kCases[8]});
  if (is_slow(set_)) cases = {kCases[2], {2, 1, 24, 0, 262}};
  for (const Case& c : cases)
    for (const KvFormat format : kFormats)
      for (const Phase phase : {Phase::prefill, Phase::decode}) {
        Sequence a(c, format, 1), b(c, format, 2);
        const int64_t from = first_attended(set_, c);
        const std::vector<float> want_a = attend(set_, a, Precision::bf16, phase, one, from);
        const std::vector<float> want_b = attend(set_, b, Precision::bf16, phase, one, from);
        for (const auto& [threads, chunk] : {std::pair{1, 1}, {2, 7}, {3, 29}, {2, 1}, {3, 100}})
          if (!is_slow(set_) || chunk == 7 || threads == 1)
            expect_same_bits(set_, c, format, phase, threads, chunk, from, want_a, want_b);
      }
}

TEST_P(Attention, StoresWhatTheDefinitionStores) {
  for (const KvFormat format : kFormats)
    for (const Case& c : {kCases[2], kCases[4], kCases[9]})
      for (const int64_t rows : {1, 13, 128}) {
        if (is_slow(set_) && (rows == 1 || c.dim > 90)) continue;
        Sequence got(c, format, 3), want(c, format, 3);
        for (Sequence* s : {&got, &want}) {
          for (size_t i = 0; i < s->qkv.size(); i += 11) s->qkv[i] = i % 2 ? 0.0f : -0.0f;
          for (size_t i = 0; i < s->qkv.size(); i += 7) s->qkv[i] *= 0x1p-9f;
        }
        for_parts(got, rows, [&](int64_t p, int64_t n) { got.store(set_, p, n, pool_); });
        for_parts(want, 1, [&](int64_t p, int64_t n) { want.store(ref::set, p, n, pool_); });
        EXPECT_EQ(0, std::memcmp(got.data(), want.data(), got.memory.size() - 64))
            << set_.name << " " << name(format) << " " << rows;
      }
}

// Both scales so small that some numbers saturate.
TEST_P(Attention, CalibratedScalesAreStoredAndSaturate) {
  for (const KvFormat format : {KvFormat::fp8_e4m3, KvFormat::int8}) {
    const Case& c = kCases[2];
    Sequence got(c, format, 3), want(c, format, 3);
    const float largest = format == KvFormat::int8 ? 127 : 448;
    for (Sequence* s : {&got, &want}) {
      s->shape.key_scale = 2.5f / largest;
      s->shape.value_scale = 3 / largest;
    }
    got.store(set_, 0, c.tokens, pool_);
    want.store(ref::set, 0, c.tokens, pool_);
    EXPECT_EQ(0, std::memcmp(got.data(), want.data(), got.memory.size() - 64)) << set_.name;
    for (int64_t p = 0; p < c.tokens; ++p) {
      EXPECT_EQ(base::load<float>(got.data() + got.layout().key_scales + 4 * p), got.shape.key_scale);
      EXPECT_EQ(base::load<float>(got.data() + got.layout().value_scales + 4 * p), got.shape.value_scale);
    }
    const auto attended = attend(set_, got, Precision::bf16, Phase::prefill, pool_);
    for (const float x : attended) ASSERT_LE(std::fabs(x), 3 * 128.01f / 127);
  }
}

// The layers of a cache lie behind each other and do not touch.
TEST_P(Attention, LayersLieBehindEachOther) {
  for (const KvFormat format : kFormats) {
    Case c = kCases[2];
    Sequence alone(c, format, 3);
    alone.store(set_, 0, c.tokens, pool_);
    const auto layer_bytes = static_cast<size_t>(c.kv_heads * alone.layout().head_bytes);
    std::vector<std::byte> memory(3 * layer_bytes + 64, std::byte{0xff});
    std::byte* data = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    AttentionSpan span = alone.span(0, 0, c.tokens);
    span.cache.data = data;
    AttentionShape shape = alone.shape;
    shape.layer = 1;
    const float* k = alone.qkv.data() + alone.width();
    set_.store_kv({{&span, 1}}, shape, k, k + c.kv_heads * c.dim, alone.stride, pool_);
    const std::vector<std::byte> untouched(layer_bytes, std::byte{0xff});
    EXPECT_EQ(0, std::memcmp(data, untouched.data(), layer_bytes)) << set_.name << " " << name(format);
    EXPECT_EQ(0, std::memcmp(data + layer_bytes, alone.data(), layer_bytes)) << set_.name << name(format);
    EXPECT_EQ(0, std::memcmp(data + 2 * layer_bytes, untouched.data(), layer_bytes)) << set_.name;
    const AttentionSpan first = alone.span(0, 0, c.tokens);
    std::vector<float> want(static_cast<size_t>(c.tokens * alone.width())), got(want.size());
    for (const Phase phase : {Phase::prefill, Phase::decode}) {
      set_.attention({{&first, 1}}, alone.shape, Precision::bf16, phase, alone.qkv.data(), alone.stride,
                     want.data(), pool_);
      set_.attention({{&span, 1}}, shape, Precision::bf16, phase, alone.qkv.data(), alone.stride, got.data(),
                     pool_);
      EXPECT_EQ(got, want) << set_.name << " " << name(format);
    }
  }
}

TEST_P(Attention, PagesHoldTheSameBits) {
  std::vector<Case> cases = {kCases[0], kCases[3], kCases[10]};
  if (!is_slow(set_) && &set_ != &ref::set) cases.insert(cases.end(), {kCases[6], kCases[7], kCases[11]});
  for (const Case& c : cases)
    for (const KvFormat format : kFormats)
      for (const Phase phase : {Phase::prefill, Phase::decode}) {
        const int64_t from = std::max<int64_t>(0, c.tokens - (is_slow(set_) ? 3 : 40));
        Sequence whole(c, format, 1);
        PagedSequence paged(c, format, 1);
        const std::vector<float> want = attend(set_, whole, Precision::bf16, phase, pool_, from);
        EXPECT_EQ(want, attend(set_, paged, Precision::bf16, phase, pool_, from))
            << fmt::format("{} {} heads of {}, {} tokens", set_.name, name(format), c.dim, c.tokens);
        paged.expect_intact();
      }
}

// Queries and keys turned, keys and values stored.
TEST_P(Attention, TurnsWhileStoring) {
  if (!set_.rope_store_kv) return;
  for (const KvFormat format : kFormats)
    for (const Case& c : {kCases[2], Case{3, 1, 24, 0, 140}})
      for (const bool in_pages : {false, true}) {
        PagedSequence in_page_got(c, format, 5), in_page_want(c, format, 5);
        Sequence whole_got(c, format, 5), whole_want(c, format, 5);
        Sequence &got = in_pages ? in_page_got : whole_got, &want = in_pages ? in_page_want : whole_want;
        std::vector<float> inv_freq;
        for (int64_t i = 0; i < c.dim / 2; ++i) inv_freq.push_back(std::exp2(-0.3f * static_cast<float>(i)));
        for_parts(got, 90, [&](int64_t position, int64_t rows) {
          std::vector<int32_t> positions;
          for (int64_t i = 0; i < rows; ++i) positions.push_back(static_cast<int32_t>(position + i));
          const AttentionSpan span = got.span(0, position, rows);
          set_.rope_store_kv({{&span, 1}}, got.shape, inv_freq.data(), 1.25f,
                             got.qkv.data() + position * got.stride, got.stride, pool_);
          set_.rope(want.qkv.data() + position * want.stride, rows, want.stride, c.heads + c.kv_heads, c.dim,
                    positions.data(), inv_freq.data(), 1.25f, pool_);
          want.store(set_, position, rows, pool_);
        });
        EXPECT_EQ(got.qkv, want.qkv) << set_.name << " " << name(format);
        EXPECT_EQ(0, std::memcmp(got.data(), want.data(), got.memory.size() - 64)) << name(format);
        EXPECT_EQ(0, std::memcmp(in_page_got.pool.data(), in_page_want.pool.data(),
                                 in_page_got.pool.size() * sizeof(PagedSequence::Line)))
            << set_.name << " " << name(format);
      }
}

std::string set_name(const testing::TestParamInfo<const KernelSet*>& info) {
  return std::string(info.param->name);
}
}  // namespace
}  // namespace aquatint::kernels
