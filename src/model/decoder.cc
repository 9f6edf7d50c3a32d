#include "model/decoder.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "numeric/format.h"

namespace aquatint::model {
namespace {

using kernels::AttentionShape;
using kernels::Precision;

// The kernel set's operations with what never changes within a step filled in.
class Ops {
 public:
  Ops(const Machine& machine, Step& step)
      : k_(*machine.backend.kernels), pool_(*machine.backend.pool), machine_(machine), step_(step) {}

  void rms_norm(const std::vector<float>& x, const std::vector<float>& weight, std::vector<float>& y) const {
    k_.rms_norm(x.data(), weight.data(), machine_.config.rms_eps, step_.rows, machine_.config.hidden_size,
                y.data(), pool_);
  }

  void linear(const Linear& w, const std::vector<float>& x, std::vector<float>& y) const {
    apply(w, x, y, false);
  }
  void add_linear(const Linear& w, const std::vector<float>& x, std::vector<float>& y) const {
    apply(w, x, y, true);
  }

  // Each head of q and k on its own. They lie between the values of other tokens, so a row is a call.
  void norm_heads(const Block& block, std::vector<float>& qkv) const {
    if (block.q_norm.empty()) return;
    const Config& c = machine_.config;
    pool_.parallel_for(step_.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float* q = qkv.data() + row * qkv_width();
        float* k = q + c.q_width();
        k_.rms_norm(q, block.q_norm.data(), c.rms_eps, c.heads, c.head_dim, q, machine_.serial);
        k_.rms_norm(k, block.k_norm.data(), c.rms_eps, c.kv_heads, c.head_dim, k, machine_.serial);
      }
    });
  }

  // q and k heads lie side by side and turn alike.
  void rope(std::vector<float>& qkv) const {
    const Config& c = machine_.config;
    k_.rope(qkv.data(), step_.rows, qkv_width(), c.heads + c.kv_heads, c.head_dim, step_.positions.data(),
            c.rope_inv_freq.data(), c.rope_attention_factor, pool_);
  }

  void attention(const Block& block, int64_t layer, const std::vector<float>& qkv,
                 std::vector<float>& out) const {
    const Config& c = machine_.config;
    const Precision precision = machine_.backend.precision;
    const AttentionShape shape{.heads = c.heads,
                               .kv_heads = c.kv_heads,
                               .head_dim = c.head_dim,
                               .window = c.windows[static_cast<size_t>(layer)],
                               .scale = 1 / std::sqrt(static_cast<float>(c.head_dim))};
    const float* k = qkv.data() + c.q_width();
    const float* v = k + c.kv_width();
    for (size_t i = 0; i < step_.spans.size(); ++i) {
      kernels::KvLayer& cache = step_.spans[i].cache = step_.caches[i]->layer(layer);
      cache.key_scale = block.kv_scales.key;
      cache.value_scale = block.kv_scales.value;
    }
    for_parts([&](std::span<const kernels::AttentionSpan> spans) {
      for (const kernels::AttentionSpan& span : spans) k_.store_kv(span, shape, k, v, qkv_width(), pool_);
      k_.attention(spans, shape, precision, step_.phase, qkv.data(), qkv_width(), out.data(), pool_);
    });
  }

  // Runs of the rotation's width in each row.
  void rotate(const RotationPtr& rotation, std::vector<float>& x, int64_t stride, int64_t runs = 1) const {
    if (rotation) k_.rotate_runs(*rotation, false, x.data(), step_.rows, stride, runs, pool_);
  }
  void unrotate(const RotationPtr& rotation, std::vector<float>& x, int64_t stride, int64_t runs = 1,
                int64_t first = 0) const {
    if (rotation) k_.rotate_runs(*rotation, true, x.data() + first, step_.rows, stride, runs, pool_);
  }

  void swiglu(const std::vector<float>& gate_up, std::vector<float>& y) const {
    k_.swiglu(gate_up.data(), step_.rows, machine_.config.intermediate_size, y.data(), pool_);
  }

  int64_t qkv_width() const { return machine_.config.q_width() + 2 * machine_.config.kv_width(); }

 private:
  // body(spans): all of them, or, while an int4 cache takes few rows at a time, the next rows of each.
  template <class Body>
  void for_parts(Body body) const {
    if (machine_.backend.kv_format() != kernels::KvFormat::int4) return body(step_.spans);
    for (int64_t done = 0, more = 1; more > 0; done += kernels::kKvRows) {
      more = 0;
      step_.parts.clear();
      for (const kernels::AttentionSpan& span : step_.spans) {
        const int64_t rows = std::clamp<int64_t>(span.rows - done, 0, kernels::kKvRows);
        if (rows > 0) step_.parts.push_back({span.cache, span.first_row + done, rows, span.position + done});
        more = std::max(more, span.rows - done - rows);
      }
      body(step_.parts);
    }
  }

  void apply(const Linear& w, const std::vector<float>& x, std::vector<float>& y, bool accumulate) const {
    const float* bias = w.bias.empty() ? nullptr : w.bias.data();
    if (w.pieces.size() == 1) {
      multiply(*w.pieces[0], x.data(), bias, accumulate, y.data());
    } else {
      int64_t first = 0;
      for (const auto& piece : w.pieces) {
        multiply(*piece, x.data(), bias ? bias + first : nullptr, false, step_.piece.data());
        scatter(piece->rows(), first, w.rows, accumulate, y.data());
        first += piece->rows();
      }
    }
    for (const PackedLowRank& part : w.low_rank) add_low_rank(part, w.rows, x.data(), y.data());
  }

  void add_low_rank(const PackedLowRank& part, int64_t stride, const float* x, float* y) const {
    const auto needed = static_cast<size_t>(step_.rows * part.right->rows());
    if (step_.directions.size() < needed) step_.directions.resize(needed);
    multiply(*part.right, x, nullptr, false, step_.directions.data());
    const int64_t width = part.left->rows();
    if (width == stride) return multiply(*part.left, step_.directions.data(), nullptr, true, y);
    multiply(*part.left, step_.directions.data(), nullptr, false, step_.piece.data());
    scatter(width, part.first_row, stride, true, y);
  }

  void multiply(const kernels::PackedMatrix& w, const float* x, const float* bias, bool accumulate,
                float* y) const {
    k_.linear(w, x, step_.rows, step_.phase, bias, accumulate, y, pool_);
  }

  // Columns [first, first + width) of y, which has `stride` columns.
  void scatter(int64_t width, int64_t first, int64_t stride, bool accumulate, float* y) const {
    pool_.parallel_for(step_.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* from = step_.piece.data() + row * width;
        float* to = y + row * stride + first;
        for (int64_t i = 0; i < width; ++i) to[i] = accumulate ? to[i] + from[i] : from[i];
      }
    });
  }

  const kernels::KernelSet& k_;
  base::ThreadPool& pool_;
  const Machine& machine_;
  Step& step_;
};

}  // namespace

void Step::reserve(const Config& c, int64_t new_rows, bool pieces) {
  const auto grow = [new_rows](auto& array, int64_t width) {
    const size_t size = static_cast<size_t>(new_rows * width);
    if (array.size() < size) array.resize(size);
  };
  const int64_t qkv_width = c.q_width() + 2 * c.kv_width();
  grow(x, c.hidden_size);
  grow(normed, c.hidden_size);
  grow(qkv, qkv_width);
  grow(attended, c.q_width());
  grow(gate_up, 2 * c.intermediate_size);
  grow(activated, c.intermediate_size);
  if (pieces) grow(piece, std::max({qkv_width, 2 * c.intermediate_size, c.hidden_size}));
  tokens.reserve(static_cast<size_t>(new_rows));
  positions.reserve(static_cast<size_t>(new_rows));
  spans.reserve(static_cast<size_t>(new_rows));
  parts.reserve(static_cast<size_t>(new_rows));
  caches.reserve(static_cast<size_t>(new_rows));
}

void Step::clear(kernels::Phase new_phase) {
  phase = new_phase;
  rows = 0;
  spans.clear();
  caches.clear();
  tokens.clear();
  positions.clear();
}

void Step::add(std::span<const int32_t> more, KvCache& cache) {
  const int64_t n = static_cast<int64_t>(more.size());
  spans.push_back({.cache = {}, .first_row = rows, .rows = n, .position = cache.length()});
  caches.push_back(&cache);
  tokens.insert(tokens.end(), more.begin(), more.end());
  for (int64_t i = 0; i < n; ++i) positions.push_back(static_cast<int32_t>(cache.length() + i));
  rows += n;
}

void check_tokens(std::span<const int32_t> tokens, const Config& config) {
  for (const int32_t token : tokens)
    if (token < 0 || token >= config.vocab_size)
      throw base::BadInput(
          fmt::format("token id {} is outside the model's vocabulary of {} (is the tokenizer another "
                      "model's?)",
                      token, config.vocab_size));
}

void embed(const Machine& machine, const tensor::QuantizedMatrix& embedding, Step& step) {
  const int64_t width = embedding.cols;
  machine.backend.pool->parallel_for(step.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t token = step.tokens[static_cast<size_t>(row)];
      float* x = step.x.data() + row * width;
      tensor::dequantize(embedding, token, token + 1, x);
      if (machine.backend.precision != Precision::fp32)
        for (int64_t i = 0; i < width; ++i) x[i] = numeric::bf16_to_float(numeric::float_to_bf16(x[i]));
    }
  });
  Ops(machine, step).rotate(machine.config.rotations.residual, step.x, width);
}

void leave_blocks(const Machine& machine, const std::vector<float>& final_norm, int64_t rows, float* x,
                  float* hidden) {
  const kernels::KernelSet& k = *machine.backend.kernels;
  const Config& c = machine.config;
  if (const RotationPtr& r = c.rotations.residual)
    k.rotate_runs(*r, true, x, rows, c.hidden_size, 1, *machine.backend.pool);
  k.rms_norm(x, final_norm.data(), c.rms_eps, rows, c.hidden_size, hidden, *machine.backend.pool);
}

void decoder_block(const Machine& machine, const Block& w, int64_t layer, Step& s) {
  enter_block(machine, w, s);
  for (const Stage stage : kStages) run_stage(machine, w, layer, stage, s);
}

void enter_block(const Machine& machine, const Block& w, Step& s) {
  Ops(machine, s).rms_norm(s.x, w.attention_norm, s.normed);
}

void run_stage(const Machine& machine, const Block& w, int64_t layer, Stage stage, Step& s) {
  const Ops op(machine, s);
  const Config& c = machine.config;
  const Rotations& r = c.rotations;
  switch (stage) {
    case Stage::qkv:
      op.linear(w.qkv, s.normed, s.qkv);
      op.unrotate(r.query_out, s.qkv, op.qkv_width());
      op.unrotate(r.key_value_out, s.qkv, op.qkv_width(), 2, c.q_width());
      op.norm_heads(w, s.qkv);
      op.rope(s.qkv);
      op.rotate(r.query_key, s.qkv, op.qkv_width(), c.heads + c.kv_heads);
      op.attention(w, layer, s.qkv, s.attended);
      op.rotate(r.attention_out_in, s.attended, c.q_width());
      break;
    case Stage::attention_out:
      op.add_linear(w.attention_out, s.attended, s.x);
      op.rms_norm(s.x, w.mlp_norm, s.normed);
      break;
    case Stage::gate_up:
      op.linear(w.gate_up, s.normed, s.gate_up);
      op.unrotate(r.gate_up_out, s.gate_up, 2 * c.intermediate_size, 2);
      op.swiglu(s.gate_up, s.activated);
      op.rotate(r.down_in, s.activated, c.intermediate_size);
      break;
    case Stage::down:
      op.add_linear(w.down, s.activated, s.x);
      break;
  }
}

bool adds_to_residual(Stage stage) { return stage == Stage::attention_out || stage == Stage::down; }

std::vector<float>& stage_input(Stage stage, Step& s) {
  return stage == Stage::attention_out ? s.attended : stage == Stage::down ? s.activated : s.normed;
}

Linear& linear_of(Block& block, Stage stage) {
  switch (stage) {
    case Stage::qkv:
      return block.qkv;
    case Stage::attention_out:
      return block.attention_out;
    case Stage::gate_up:
      return block.gate_up;
    case Stage::down:
      break;
  }
  return block.down;
}

const Linear& linear_of(const Block& block, Stage stage) {
  return linear_of(const_cast<Block&>(block), stage);
}

int64_t input_width(Stage stage, const Config& c) {
  return stage == Stage::attention_out ? c.q_width()
         : stage == Stage::down        ? c.intermediate_size
                                       : c.hidden_size;
}

}  // namespace aquatint::model
