#include "kernels/cuda/gpu/staged_set.h"

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/slots.h"
#include "kernels/kv_layout.h"

namespace aquatint::kernels::cuda {
namespace {

// A copy of the host's array on the device, as far from a multiple of 256 bytes.
template <class T>
class Staged {
 public:
  Staged(const T* host, int64_t count)
      : host_(host),
        bytes_(host ? static_cast<size_t>(std::max<int64_t>(count, 0)) * sizeof(T) : 0),
        offset_(reinterpret_cast<uintptr_t>(host) % 256),
        buffer_(bytes_ + 512) {
    if (bytes_ > 0) copy_to_device(data(), host, bytes_);
  }
  T* data() const { return host_ ? reinterpret_cast<T*>(buffer_.data() + offset_) : nullptr; }
  void bring_back() const {
    if (bytes_ > 0) copy_to_host(const_cast<T*>(host_), data(), bytes_);
  }

 private:
  const T* host_;
  size_t bytes_, offset_;
  DeviceBuffer buffer_;
};

// Numbers from the first of the first row to the last of the last.
int64_t extent(int64_t rows, int64_t stride, int64_t cols) {
  return rows > 0 ? (rows - 1) * stride + cols : 0;
}

// Spans whose caches are on the device.
class StagedSpans {
 public:
  StagedSpans(const Spans& spans, const AttentionShape& shape) {
    for (AttentionSpan span : spans.list) {
      KvView& c = span.cache;
      const auto stage = [&](std::byte* block, int64_t capacity, int64_t recent) {
        std::unique_ptr<Staged<std::byte>>& staged = blocks_[block];
        const int64_t head = kv_layout(c.format, shape.head_dim, capacity, recent).head_bytes;
        if (!staged)
          staged = std::make_unique<Staged<std::byte>>(block, (shape.layer + 1) * shape.kv_heads * head);
        return staged->data();
      };
      c.data = stage(c.data, c.pages ? 0 : c.capacity, c.recent);
      if (c.pages) {
        std::vector<std::byte*> pages;
        for (int64_t i = 0; i * kKvPage < span.position + span.rows; ++i)
          pages.push_back(stage(c.pages[i], kKvPage, 0));
        const auto bytes = pages.size() * sizeof(std::byte*);
        copy_to_device(tables_.emplace_back(bytes).data(), pages.data(), bytes);
        c.pages = tables_.back().data<std::byte*>();
      }
      list_.push_back(span);
      rows_ = std::max(rows_, span.first_row + span.rows);
    }
    placed_ = DeviceBuffer(list_.size() * sizeof(AttentionSpan) + 1);
    copy_to_device(placed_.data(), list_.data(), list_.size() * sizeof(AttentionSpan));
  }
  Spans spans() const { return {list_, placed_.data<AttentionSpan>()}; }
  int64_t rows() const { return rows_; }
  void bring_back() const {
    for (const auto& [host, block] : blocks_) block->bring_back();
  }

 private:
  std::map<const std::byte*, std::unique_ptr<Staged<std::byte>>> blocks_;
  std::vector<DeviceBuffer> tables_;  // of pages
  std::vector<AttentionSpan> list_;
  DeviceBuffer placed_;
  int64_t rows_ = 0;
};

void staged_linear(const PackedMatrix& w, const float* x, int64_t rows, Phase phase, const float* bias,
                   bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool) {
  const Staged from(x, rows * w.cols()), added(bias, w.rows());
  const Staged to(y, extent(rows, y_row, w.rows()));
  linear(w, from.data(), rows, phase, added.data(), accumulate, to.data(), y_row, pool);
  to.bring_back();
}

void staged_rms_norm(const float* x, const float* weight, float eps, int64_t rows, int64_t cols, float* y,
                     base::ThreadPool& pool) {
  const Staged factors(weight, cols);
  const Staged<float> from(x, rows * cols), to(y, rows * cols);
  rms_norm(y == x ? to.data() : from.data(), factors.data(), eps, rows, cols, to.data(), pool);
  to.bring_back();
}

void staged_rms_norm_runs(float* x, const float* weight, float eps, int64_t rows, int64_t stride,
                          int64_t runs, int64_t width, base::ThreadPool& pool) {
  const Staged on(x, extent(rows, stride, runs * width));
  const Staged factors(weight, width);
  rms_norm_runs(on.data(), factors.data(), eps, rows, stride, runs, width, pool);
  on.bring_back();
}

void staged_rope(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim,
                 const int32_t* positions, const float* inv_freq, float attention_factor,
                 base::ThreadPool& pool) {
  const Staged on(x, extent(rows, stride, heads * head_dim));
  const Staged at(positions, rows);
  const Staged frequencies(inv_freq, head_dim / 2);
  rope(on.data(), rows, stride, heads, head_dim, at.data(), frequencies.data(), attention_factor, pool);
  on.bring_back();
}

void staged_rotate_runs(const tensor::Rotation& r, bool inverse, float* x, int64_t rows, int64_t stride,
                        int64_t runs, base::ThreadPool& pool) {
  const Staged on(x, extent(rows, stride, runs * r.width()));
  rotate_runs(r, inverse, on.data(), rows, stride, runs, pool);
  on.bring_back();
}

void staged_swiglu(const float* gate_up, int64_t rows, int64_t cols, float* h, base::ThreadPool& pool) {
  const Staged from(gate_up, rows * 2 * cols);
  const Staged to(h, rows * cols);
  swiglu(from.data(), rows, cols, to.data(), pool);
  to.bring_back();
}

void staged_logit_stats(const float* logits, int64_t rows, int64_t cols, LogitStats* out,
                        base::ThreadPool& pool) {
  const Staged from(logits, rows * cols);
  const Staged to(out, rows);
  logit_stats(from.data(), rows, cols, to.data(), pool);
  to.bring_back();
}

void staged_divergence(const float* reference, const float* model, int64_t rows, int64_t cols,
                       Divergence* out, base::ThreadPool& pool) {
  const Staged a(reference, rows * cols), b(model, rows * cols);
  const Staged to(out, rows);
  divergence(a.data(), b.data(), rows, cols, to.data(), pool);
  to.bring_back();
}

void staged_sample(const float* logits, int64_t rows, int64_t cols, const Draw* draws, int32_t* tokens,
                   base::ThreadPool& pool) {
  const Staged from(logits, rows * cols);
  const Staged with(draws, rows);
  const Staged to(tokens, rows);
  sample(from.data(), rows, cols, with.data(), to.data(), pool);
  to.bring_back();
}

void staged_store_kv(const Spans& spans, const AttentionShape& shape, const float* k, const float* v,
                     int64_t stride, base::ThreadPool& pool) {
  const StagedSpans on(spans, shape);
  const int64_t count = extent(on.rows(), stride, shape.kv_heads * shape.head_dim);
  const Staged keys(k, count), values(v, count);
  store_kv(on.spans(), shape, keys.data(), values.data(), stride, pool);
  on.bring_back();
}

void staged_rope_store_kv(const Spans& spans, const AttentionShape& shape, const float* inv_freq,
                          float attention_factor, float* qkv, int64_t stride, base::ThreadPool& pool) {
  const StagedSpans on(spans, shape);
  const Staged rows(qkv, extent(on.rows(), stride, (shape.heads + 2 * shape.kv_heads) * shape.head_dim));
  const Staged frequencies(inv_freq, shape.head_dim / 2);
  rope_store_kv(on.spans(), shape, frequencies.data(), attention_factor, rows.data(), stride, pool);
  rows.bring_back();
  on.bring_back();
}

void staged_attention(const Spans& spans, const AttentionShape& shape, Precision precision, Phase phase,
                      const float* q, int64_t q_stride, float* out, base::ThreadPool& pool) {
  const StagedSpans on(spans, shape);
  const int64_t width = shape.heads * shape.head_dim;
  const Staged queries(q, extent(on.rows(), q_stride, width));
  const Staged to(out, on.rows() * width);
  attention(on.spans(), shape, precision, phase, queries.data(), q_stride, to.data(), pool);
  to.bring_back();
}

template <class T, void (*multiply)(const Product<T>&)>
void staged_product(const Product<T>& p) {
  const Staged a(p.a, extent(p.rows, p.a_row, p.depth)), b(p.b, extent(p.depth, p.b_row, p.cols));
  const Staged c(p.c, extent(p.rows, p.c_row, p.cols));
  multiply({a.data(), p.a_row, b.data(), p.b_row, c.data(), p.c_row, p.rows, p.cols, p.depth});
  c.bring_back();
}

void staged_cross(const CrossProduct& p, base::ThreadPool& pool) {
  const Staged a(p.a, extent(p.rows, p.a_row, p.a_cols)), b(p.b, extent(p.rows, p.b_row, p.b_cols));
  const Staged out(p.out, extent(p.a_cols, p.out_row, p.b_cols));
  CrossProduct on = p;
  on.a = a.data();
  on.b = p.a == p.b ? a.data() : b.data();
  on.out = out.data();
  add_cross(on, pool);
  out.bring_back();
}

void staged_magnitudes(const float* x, int64_t rows, int64_t cols, const Magnitudes& to,
                       base::ThreadPool& pool) {
  const Staged on(x, rows * cols);
  const Staged sums(to.sums, cols), squares(to.squares, cols);
  const Staged largest(to.largest, cols);
  add_magnitudes(on.data(), rows, cols, {sums.data(), squares.data(), largest.data()}, pool);
  sums.bring_back();
  squares.bring_back();
  largest.bring_back();
}

}  // namespace

const KernelSet& staged_set() {
  static const KernelSet set = {
      .name = "cuda",
      .description = "the CUDA set behind copies",
      .needs = {},
      .pack = pack,
      .linear = staged_linear,
      .rms_norm = staged_rms_norm,
      .rms_norm_runs = staged_rms_norm_runs,
      .rope = staged_rope,
      .store_kv = staged_store_kv,
      .rope_store_kv = staged_rope_store_kv,
      .attention = staged_attention,
      .rotate_runs = staged_rotate_runs,
      .swiglu = staged_swiglu,
      .logit_stats = staged_logit_stats,
      .divergence = staged_divergence,
      .sample = staged_sample,
      .add_product = staged_product<float, add_product>,
      .add_product_fp64 = staged_product<double, add_product_fp64>,
      .add_cross = staged_cross,
      .add_magnitudes = staged_magnitudes,
  };
  return set;
}

}  // namespace aquatint::kernels::cuda
