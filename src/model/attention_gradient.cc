#include "model/attention_gradient.h"

#include <cmath>

#include "model/dense.h"

namespace aquatint::model {
namespace {

// Columns [first, first + width) of rows that are `stride` apart.
std::vector<float> columns(std::span<const float> x, int64_t rows, int64_t stride, int64_t first,
                           int64_t width) {
  std::vector<float> part(static_cast<size_t>(rows * width));
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(x.begin() + r * stride + first, width, part.begin() + r * width);
  return part;
}

void add_columns(const std::vector<float>& part, int64_t rows, int64_t stride, int64_t first, int64_t width,
                 std::span<float> x) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i)
      x[static_cast<size_t>(r * stride + first + i)] += part[static_cast<size_t>(r * width + i)];
}

}  // namespace

struct AttentionGradient::Head {
  int64_t q_first, k_first, v_first;  // columns of qkv
  std::vector<float> q, k, v;         // [rows][head_dim]
};

AttentionGradient::Head AttentionGradient::gather(std::span<const float> qkv, int64_t head) const {
  const int64_t d = config_.head_dim, stride = config_.q_width() + 2 * config_.kv_width();
  const int64_t kv_head = head / (config_.heads / config_.kv_heads);
  Head h{
      head * d, config_.q_width() + kv_head * d, config_.q_width() + config_.kv_width() + kv_head * d, {}, {},
      {}};
  h.q = columns(qkv, rows_, stride, h.q_first, d);
  h.k = columns(qkv, rows_, stride, h.k_first, d);
  h.v = columns(qkv, rows_, stride, h.v_first, d);
  return h;
}

// Of [rows][rows] unscaled scores, in place.
void AttentionGradient::softmax(float* scores) const {
  const float scale = 1 / std::sqrt(static_cast<float>(config_.head_dim));
  for (int64_t row = 0; row < rows_; ++row) {
    float* s = scores + row * rows_;
    const int64_t first = window_ > 0 ? std::max<int64_t>(0, row - window_ + 1) : 0;
    const float largest = *std::max_element(s + first, s + row + 1);
    double total = 0;
    for (int64_t i = 0; i < rows_; ++i) {
      s[i] = first <= i && i <= row ? std::exp((s[i] - largest) * scale) : 0.0f;
      total += double{s[i]};
    }
    for (int64_t i = first; i <= row; ++i) s[i] = static_cast<float>(double{s[i]} / total);
  }
}

void AttentionGradient::forward(std::span<const float> qkv, int64_t rows, std::span<float> out) {
  rows_ = rows;
  const int64_t d = config_.head_dim;
  weights_.assign(static_cast<size_t>(config_.heads * rows * rows), 0);
  std::fill(out.begin(), out.end(), 0.0f);
  backend_.pool->parallel_for(config_.heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      const Head h = gather(qkv, head);
      float* p = weights_.data() + head * rows * rows;
      const std::vector<float> keys = transposed(h.k.data(), rows, d);
      backend_.host_kernels().add_product({h.q.data(), d, keys.data(), rows, p, rows, rows, rows, d});
      softmax(p);
      backend_.host_kernels().add_product(
          {p, rows, h.v.data(), d, out.data() + h.q_first, config_.q_width(), rows, d, rows});
    }
  });
}

void AttentionGradient::backward(std::span<const float> qkv, std::span<const float> by_out,
                                 std::span<float> by_qkv) const {
  const int64_t d = config_.head_dim, rows = rows_, stride = config_.q_width() + 2 * config_.kv_width();
  const int64_t heads = config_.heads / config_.kv_heads;  // that share their keys and values
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  const kernels::KernelSet& k = backend_.host_kernels();
  std::fill(by_qkv.begin(), by_qkv.end(), 0.0f);
  backend_.pool->parallel_for(config_.kv_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t head = begin * heads; head < end * heads; ++head) {
      const Head h = gather(qkv, head);
      const float* p = weights_.data() + head * rows * rows;
      const std::vector<float> by_head = columns(by_out, rows, config_.q_width(), h.q_first, d);
      const std::vector<float> values = transposed(h.v.data(), rows, d), seen = transposed(p, rows, rows);
      std::vector<float> by_scores(static_cast<size_t>(rows * rows));
      k.add_product({by_head.data(), d, values.data(), rows, by_scores.data(), rows, rows, rows, d});
      for (int64_t r = 0; r < rows; ++r) {
        float* s = by_scores.data() + r * rows;
        double mean = 0;
        for (int64_t i = 0; i <= r; ++i) mean += double{s[i]} * double{p[r * rows + i]};
        for (int64_t i = 0; i < rows; ++i) s[i] = p[r * rows + i] * (s[i] - static_cast<float>(mean)) * scale;
      }
      const std::vector<float> by_key_scores = transposed(by_scores.data(), rows, rows);
      std::vector<float> by_q(h.q.size()), by_k(h.k.size()), by_v(h.v.size());
      k.add_product({by_scores.data(), rows, h.k.data(), d, by_q.data(), d, rows, d, rows});
      k.add_product({by_key_scores.data(), rows, h.q.data(), d, by_k.data(), d, rows, d, rows});
      k.add_product({seen.data(), rows, by_head.data(), d, by_v.data(), d, rows, d, rows});
      add_columns(by_q, rows, stride, h.q_first, d, by_qkv);
      add_columns(by_k, rows, stride, h.k_first, d, by_qkv);
      add_columns(by_v, rows, stride, h.v_first, d, by_qkv);
    }
  });
}

}  // namespace aquatint::model
