#include "model/attention_gradient.h"

#include <algorithm>
#include <cmath>

#include "base/lanes.h"
#include "model/dense.h"

namespace aquatint::model {
namespace {

// Rows that go together: of what lies behind the last of them nothing is computed.
constexpr int64_t kBlock = 64;

using base::IntLanes;
using base::Lanes;

// eˣ of −87 < x ≤ 0 within 3 ulp, of smaller ones next to nothing: 2ⁿ · 2ᶠ with |f| ≤ ½.
AQ_INLINE Lanes exp_of_negative(const Lanes& x) {
  const Lanes t = (x > -87.0f ? x : Lanes{} - 87.0f) * 1.44269504f;
  const IntLanes n = __builtin_convertvector(t - 0.5f, IntLanes);
  const Lanes f = (t - __builtin_convertvector(n, Lanes)) * 0.693147181f;
  const Lanes series =
      1.0f +
      f * (1.0f + f * (1 / 2.0f + f * (1 / 6.0f + f * (1 / 24.0f + f * (1 / 120.0f + f * (1 / 720.0f))))));
  const IntLanes power = (n + 127) << 23;
  return (Lanes)power * series;
}

// Of the unscaled scores [0, count) where a query sees [first, count), in place.
void softmax(float* s, int64_t first, int64_t count, float scale) {
  Lanes largest = Lanes{} + s[first], total = {};
  base::by_lanes(first, count, [&](int64_t i, auto n) {
    const Lanes x = base::load_lanes(s + i, n, s[first]);
    largest = x > largest ? x : largest;
  });
  const float most = std::max(std::max(largest[0], largest[1]), std::max(largest[2], largest[3]));
  base::by_lanes(first, count, [&](int64_t i, auto n) {
    const Lanes p = exp_of_negative((base::load_lanes(s + i, n, -INFINITY) - most) * scale);
    total += p;
    base::store_lanes(s + i, n, p);
  });
  const float share = 1 / base::sum(total);
  std::fill(s, s + first, 0.0f);
  for (int64_t i = first; i < count; ++i) s[i] *= share;
}

// Columns [first, first + width) of rows that are `stride` apart, as rows.
std::vector<float> turned_columns(std::span<const float> x, int64_t rows, int64_t stride, int64_t first,
                                  int64_t width) {
  std::vector<float> t(static_cast<size_t>(rows * width));
  transpose(x.data() + first, stride, rows, width, t.data(), rows);
  return t;
}

}  // namespace

AttentionGradient::Head AttentionGradient::head(int64_t index) const {
  const int64_t d = config_.head_dim, kv_head = index / (config_.heads / config_.kv_heads);
  return {index * d, config_.q_width() + kv_head * d, config_.q_width() + config_.kv_width() + kv_head * d};
}

void AttentionGradient::forward(std::span<const float> qkv, int64_t rows, std::span<float> out) {
  rows_ = rows;
  const int64_t d = config_.head_dim, stride = qkv_width();
  const auto add_product = backend_.host_kernels().add_product;
  weights_.resize(static_cast<size_t>(config_.heads * rows * rows));
  std::fill(out.begin(), out.end(), 0.0f);
  backend_.pool->parallel_for(config_.heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const Head h = head(index);
      const std::vector<float> keys = turned_columns(qkv, rows, stride, h.k, d);
      for (int64_t row = 0; row < rows; row += kBlock) {
        const int64_t count = std::min(kBlock, rows - row), seen = row + count;
        float* p = weights_.data() + (index * rows + row) * rows;
        for (int64_t r = 0; r < count; ++r) std::fill_n(p + r * rows, seen, 0.0f);
        add_product({qkv.data() + row * stride + h.q, stride, keys.data(), rows, p, rows, count, seen, d});
        for (int64_t r = 0; r < count; ++r) {
          softmax(p + r * rows, first_seen(row + r), row + r + 1, scale_);
          std::fill(p + r * rows + row + r + 1, p + r * rows + seen, 0.0f);
        }
        add_product({p, rows, qkv.data() + h.v, stride, out.data() + row * config_.q_width() + h.q,
                     config_.q_width(), count, d, seen});
      }
    }
  });
}

// `by` [rows][rows or more]: from the gradient by a block's weights `p` to that by its unscaled scores.
void AttentionGradient::softmax_backward(const float* p, int64_t row, int64_t count, float* by) const {
  const int64_t seen = row + count;
  for (int64_t r = 0; r < count; ++r, p += rows_, by += rows_) {
    double mean = 0;
    for (int64_t i = 0; i < seen; ++i) mean += double{by[i] * p[i]};
    for (int64_t i = 0; i < seen; ++i) by[i] = p[i] * (by[i] - static_cast<float>(mean)) * scale_;
  }
}

// One head's: its columns of q in `by_qkv`, and [rows][head_dim] of its keys and values.
void AttentionGradient::backward_head(std::span<const float> qkv, std::span<const float> by_out,
                                      int64_t index, std::span<float> by_qkv, float* by_k,
                                      float* by_v) const {
  const int64_t d = config_.head_dim, rows = rows_, width = config_.q_width(), stride = qkv_width();
  const auto add_product = backend_.host_kernels().add_product;
  const Head h = head(index);
  const std::vector<float> values = turned_columns(qkv, rows, stride, h.v, d);
  std::vector<float> by_scores, turned(static_cast<size_t>(kBlock * rows));
  for (int64_t row = 0; row < rows; row += kBlock) {
    const int64_t count = std::min(kBlock, rows - row), seen = row + count;
    const float* p = weights_.data() + (index * rows + row) * rows;
    const float* by_head = by_out.data() + row * width + h.q;
    by_scores.assign(static_cast<size_t>(count * rows), 0);
    add_product({by_head, width, values.data(), rows, by_scores.data(), rows, count, seen, d});
    softmax_backward(p, row, count, by_scores.data());
    add_product({by_scores.data(), rows, qkv.data() + h.k, stride, by_qkv.data() + row * stride + h.q, stride,
                 count, d, seen});
    const auto add_turned = [&](const float* a, const float* b, int64_t b_row, float* c) {
      transpose(a, rows, count, seen, turned.data(), count);
      add_product({turned.data(), count, b, b_row, c, d, seen, d, count});
    };
    add_turned(by_scores.data(), qkv.data() + row * stride + h.q, stride, by_k);
    add_turned(p, by_head, width, by_v);
  }
}

void AttentionGradient::backward(std::span<const float> qkv, std::span<const float> by_out,
                                 std::span<float> by_qkv) const {
  const int64_t d = config_.head_dim, part = rows_ * d, stride = qkv_width();
  std::fill(by_qkv.begin(), by_qkv.end(), 0.0f);
  std::vector<float> by_keys(static_cast<size_t>(config_.heads * part)), by_values(by_keys.size());
  backend_.pool->parallel_for(config_.heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index)
      backward_head(qkv, by_out, index, by_qkv, by_keys.data() + index * part,
                    by_values.data() + index * part);
  });
  backend_.pool->parallel_for(rows_, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t index = 0; index < config_.heads; ++index) {
        const Head h = head(index);
        float* to = by_qkv.data() + row * stride;
        for (int64_t i = 0; i < d; ++i) {
          to[h.k + i] += by_keys[static_cast<size_t>(index * part + row * d + i)];
          to[h.v + i] += by_values[static_cast<size_t>(index * part + row * d + i)];
        }
      }
  });
}

}  // namespace aquatint::model
