#include "model/block_gradient.h"

#include <cmath>

#include "base/error.h"
#include "kernels/input_rounding.h"
#include "model/dense.h"

namespace aquatint::model {
namespace {

// One row, in place of rms_norm's x: from the gradient by y = x · r · weight, r = 1 / √(mean(x²) + eps), to
// that by x.
void norm_backward(const float* x, const float* weight, float eps, int64_t n, const float* by_y,
                   float* by_x) {
  double squares = 0, along = 0;
  for (int64_t i = 0; i < n; ++i) {
    squares += double{x[i]} * double{x[i]};
    along += double{by_y[i]} * double{weight[i]} * double{x[i]};
  }
  const double r = 1 / std::sqrt(squares / static_cast<double>(n) + double{eps});
  const double pull = along * r * r / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i)
    by_x[i] = static_cast<float>(r * (double{by_y[i]} * double{weight[i]} - double{x[i]} * pull));
}

// Of [rows][2 · cols], gate first, where `by_h` is that by silu(gate) · up.
std::vector<float> swiglu_backward(const std::vector<float>& gate_up, const std::vector<float>& by_h,
                                   int64_t rows, int64_t cols, base::ThreadPool& pool) {
  std::vector<float> by_gate_up(gate_up.size());
  pool.parallel_for(rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t c = 0; c < cols; ++c) {
        const auto g = static_cast<size_t>(r * 2 * cols + c), u = g + static_cast<size_t>(cols);
        const float gate = gate_up[g], by = by_h[static_cast<size_t>(r * cols + c)];
        const float sigmoid = 1 / (1 + std::exp(-gate));
        by_gate_up[g] = by * gate_up[u] * sigmoid * (1 + gate * (1 - sigmoid));
        by_gate_up[u] = by * gate * sigmoid;
      }
  });
  return by_gate_up;
}

}  // namespace

BlockGradient::BlockGradient(const Config& config, int64_t layer, const Block& vectors,
                             const Backend& backend)
    : config_(config), vectors_(vectors), backend_(backend), attention_(config, layer, backend) {}

void BlockGradient::set_weights(const BlockMatrices& weights) {
  for (const Stage stage : kStages) {
    const auto at = static_cast<size_t>(stage);
    const int64_t rows = width(stage), cols = input_width(stage, config_);
    weights_[at] = pack_dense(weights[at], rows, cols, backend_, roundings_[at]);
    transposed_[at] =
        pack_dense(transposed(weights[at].data(), rows, cols, *backend_.pool), cols, rows, backend_);
  }
}

// What the stage's linear made of its input.
void BlockGradient::round(Stage stage) {
  const numeric::ActivationScheme& scheme = roundings_[static_cast<size_t>(stage)];
  if (!scheme.format) return;
  const int64_t cols = input_width(stage, config_);
  backend_.pool->parallel_for(rows_, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* x = inputs_[static_cast<size_t>(stage)].data() + row * cols;
      const float scale = kernels::round_input(scheme, backend_.precision, x, cols, x);
      for (int64_t i = 0; i < cols; ++i) x[i] *= scale;
    }
  });
}

void BlockGradient::linear(Stage stage, std::vector<float>& y) {
  const std::vector<float>& bias = linear_of(vectors_, stage).bias.values;
  y.resize(static_cast<size_t>(rows_ * width(stage)));
  multiply(*weights_[static_cast<size_t>(stage)], input(stage).data(), rows_,
           bias.empty() ? nullptr : bias.data(), y.data());
}

// Returns the gradient by the linear's input.
std::vector<float> BlockGradient::linear_backward(Stage stage, std::span<const float> by_y,
                                                  BlockMatrices& by_weights) {
  const int64_t rows = width(stage), cols = input_width(stage, config_);
  base::ThreadPool& pool = *backend_.pool;
  round(stage);
  const auto inputs = pack_dense(transposed(input(stage).data(), rows_, cols, pool), cols, rows_, backend_);
  multiply(*inputs, transposed(by_y.data(), rows_, rows, pool).data(), rows, nullptr,
           by_weights[static_cast<size_t>(stage)].data(), true);
  std::vector<float> by_input(static_cast<size_t>(rows_ * cols));
  multiply(*transposed_[static_cast<size_t>(stage)], by_y.data(), rows_, nullptr, by_input.data());
  return by_input;
}

// y = x · wᵀ + bias (+ y).
void BlockGradient::multiply(const kernels::PackedMatrix& w, const float* x, int64_t rows, const float* bias,
                             float* y, bool accumulate) const {
  backend_.host_kernels().linear(w, x, rows, kernels::Phase::prefill, bias, accumulate, y, w.rows(),
                                 *backend_.pool);
}

void BlockGradient::norm_heads(std::vector<float>& qkv) const {
  if (vectors_.q_norm.empty()) return;
  base::ThreadPool serial(1);
  for (int64_t row = 0; row < rows_; ++row) {
    float* q = qkv.data() + row * qkv_width();
    float* k = q + config_.q_width();
    const auto norm = backend_.host_kernels().rms_norm;
    norm(q, vectors_.q_norm.values.data(), config_.rms_eps, config_.heads, config_.head_dim, q, serial);
    norm(k, vectors_.k_norm.values.data(), config_.rms_eps, config_.kv_heads, config_.head_dim, k, serial);
  }
}

void BlockGradient::norm_heads_backward(std::vector<float>& by_qkv) const {
  if (vectors_.q_norm.empty()) return;
  const int64_t d = config_.head_dim;
  for (int64_t row = 0; row < rows_; ++row)
    for (int64_t head = 0; head < config_.heads + config_.kv_heads; ++head) {
      const int64_t at = row * qkv_width() + head * d;
      const std::vector<float>& weight = (head < config_.heads ? vectors_.q_norm : vectors_.k_norm).values;
      norm_backward(raw_qkv_.data() + at, weight.data(), config_.rms_eps, d, by_qkv.data() + at,
                    by_qkv.data() + at);
    }
}

// Rotary embedding of q and k heads: halves (i, i + head_dim / 2) turn by position · inv_freq[i]; `direction`
// −1 is the transpose.
void BlockGradient::turn(std::vector<float>& qkv, float direction) const {
  const int64_t half = config_.head_dim / 2;
  backend_.pool->parallel_for(rows_, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(row) * config_.rope_inv_freq[static_cast<size_t>(i)];
        const float cosine = std::cos(angle) * config_.rope_attention_factor;
        const float sine = std::sin(angle) * config_.rope_attention_factor * direction;
        for (int64_t head = 0; head < config_.heads + config_.kv_heads; ++head) {
          float* x = qkv.data() + row * qkv_width() + head * config_.head_dim + i;
          const float first = x[0], second = x[half];
          x[0] = first * cosine - second * sine;
          x[half] = second * cosine + first * sine;
        }
      }
  });
}

void BlockGradient::forward(std::span<const float> x, int64_t rows, std::span<float> y) {
  const kernels::KernelSet& k = backend_.host_kernels();
  const int64_t hidden = config_.hidden_size;
  AQ_CHECK(static_cast<int64_t>(x.size()) == rows * hidden && x.size() == y.size(), "{} values", x.size());
  rows_ = rows;
  for (const Stage stage : kStages)
    inputs_[static_cast<size_t>(stage)].resize(static_cast<size_t>(rows * input_width(stage, config_)));
  auto& [normed, attended, mlp_normed, activated] = inputs_;
  x_.assign(x.begin(), x.end());
  k.rms_norm(x_.data(), vectors_.attention_norm.values.data(), config_.rms_eps, rows, hidden, normed.data(),
             *backend_.pool);
  linear(Stage::qkv, raw_qkv_);
  qkv_ = raw_qkv_;
  norm_heads(qkv_);
  turn(qkv_, 1);
  attention_.forward(qkv_, rows, attended);
  linear(Stage::attention_out, middle_);
  for (size_t i = 0; i < x_.size(); ++i) middle_[i] += x_[i];
  k.rms_norm(middle_.data(), vectors_.mlp_norm.values.data(), config_.rms_eps, rows, hidden,
             mlp_normed.data(), *backend_.pool);
  linear(Stage::gate_up, gate_up_);
  k.swiglu(gate_up_.data(), rows, config_.intermediate_size, activated.data(), *backend_.pool);
  linear(Stage::down, out_);
  for (size_t i = 0; i < out_.size(); ++i) y[i] = middle_[i] + out_[i];
}

void BlockGradient::backward(std::span<float> by_y, BlockMatrices& by_weights) {
  const int64_t hidden = config_.hidden_size;
  // by_y passes along the residual stream, and each branch adds to it.
  const auto add_through_norm = [&](const std::vector<float>& x, const std::vector<float>& norm,
                                    const std::vector<float>& by_normed) {
    backend_.pool->parallel_for(rows_, 8, [&](int64_t begin, int64_t end) {
      std::vector<float> by_x(static_cast<size_t>(hidden));
      for (int64_t row = begin; row < end; ++row) {
        const int64_t at = row * hidden;
        norm_backward(x.data() + at, norm.data(), config_.rms_eps, hidden, by_normed.data() + at,
                      by_x.data());
        for (int64_t i = 0; i < hidden; ++i)
          by_y[static_cast<size_t>(at + i)] += by_x[static_cast<size_t>(i)];
      }
    });
  };
  const std::vector<float> by_activated = linear_backward(Stage::down, by_y, by_weights);
  const std::vector<float> by_gate_up =
      swiglu_backward(gate_up_, by_activated, rows_, config_.intermediate_size, *backend_.pool);
  add_through_norm(middle_, vectors_.mlp_norm.values,
                   linear_backward(Stage::gate_up, by_gate_up, by_weights));
  const std::vector<float> by_attended = linear_backward(Stage::attention_out, by_y, by_weights);
  std::vector<float> by_qkv(qkv_.size());
  attention_.backward(qkv_, by_attended, by_qkv);
  turn(by_qkv, -1);
  norm_heads_backward(by_qkv);
  add_through_norm(x_, vectors_.attention_norm.values, linear_backward(Stage::qkv, by_qkv, by_weights));
}

}  // namespace aquatint::model
