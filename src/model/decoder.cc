#include "model/decoder.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "numeric/format.h"

namespace aquatint::model {
namespace {

using kernels::AttentionShape;
using kernels::Precision;
using FloatArray = kernels::Array<float>;

// The kernel set's operations with what never changes within a step filled in.
class Ops {
 public:
  Ops(const Machine& machine, Step& step)
      : k_(*machine.backend.kernels),
        pool_(*machine.backend.pool),
        memory_(machine.backend.memory()),
        machine_(machine),
        step_(step) {}

  void rms_norm(const FloatArray& x, const Vector& weight, FloatArray& y) const {
    k_.rms_norm(x.data(), weight.in(memory_), machine_.config.rms_eps, step_.rows,
                machine_.config.hidden_size, y.data(), pool_);
  }

  void linear(const Linear& w, const FloatArray& x, FloatArray& y) const { apply(w, x, y, false); }
  void add_linear(const Linear& w, const FloatArray& x, FloatArray& y) const { apply(w, x, y, true); }

  // y = linear(w, rms_norm(x)), by way of `normed` where the kernels do not make it on theirs.
  void norm_linear(const Linear& w, const FloatArray& x, const Vector& weight, FloatArray& normed,
                   FloatArray& y) const {
    if (makes_input(w)) return apply(w, {x.data(), weight.in(memory_), machine_.config.rms_eps}, y, false);
    if (!step_.staged) rms_norm(x, weight, normed);
    linear(w, normed, y);
  }

  // y += linear(w, what activate() makes of gate_up).
  void add_gated_linear(const Linear& w, const FloatArray& gate_up, FloatArray& activated,
                        FloatArray& y) const {
    if (makes_input(w) && !machine_.config.rotations.down_in)
      return apply(w, {.x = gate_up.data(), .gated = true}, y, true);
    if (!step_.staged) activate(gate_up, activated);
    add_linear(w, activated, y);
  }
  void activate(const FloatArray& gate_up, FloatArray& y) const {
    k_.swiglu(gate_up.data(), step_.rows, machine_.config.intermediate_size, y.data(), pool_);
    rotate(machine_.config.rotations.down_in, y, machine_.config.intermediate_size);
  }

  // Each head of q and k on its own.
  void norm_heads(const Block& block, FloatArray& qkv) const {
    if (block.q_norm.empty()) return;
    const Config& c = machine_.config;
    k_.rms_norm_runs(qkv.data(), block.q_norm.in(memory_), c.rms_eps, step_.rows, qkv_width(), c.heads,
                     c.head_dim, pool_);
    k_.rms_norm_runs(qkv.data() + c.q_width(), block.k_norm.in(memory_), c.rms_eps, step_.rows, qkv_width(),
                     c.kv_heads, c.head_dim, pool_);
  }

  // q and k heads lie side by side and turn alike: here, where they are not turned while they are stored.
  void rope(FloatArray& qkv) const {
    if (turns_while_storing()) return;
    const Config& c = machine_.config;
    k_.rope(qkv.data(), step_.rows, qkv_width(), c.heads + c.kv_heads, c.head_dim,
            step_.placed_positions.data(), step_.inv_freq.data(), c.rope_attention_factor, pool_);
  }

  void attention(const Block& block, int64_t layer, FloatArray& qkv, FloatArray& out) const {
    const Config& c = machine_.config;
    const AttentionShape shape{.heads = c.heads,
                               .kv_heads = c.kv_heads,
                               .head_dim = c.head_dim,
                               .window = c.windows[static_cast<size_t>(layer)],
                               .scale = 1 / std::sqrt(static_cast<float>(c.head_dim)),
                               .layer = layer,
                               .key_scale = block.kv_scales.key,
                               .value_scale = block.kv_scales.value};
    const float* k = qkv.data() + c.q_width();
    for (const Step::Part& part : step_.part_list) {
      const kernels::Spans spans(std::span(step_.parts).subspan(part.first, part.count),
                                 step_.placed_parts.data() + part.first);
      if (turns_while_storing())
        k_.rope_store_kv(spans, shape, step_.inv_freq.data(), c.rope_attention_factor, qkv.data(),
                         qkv_width(), pool_);
      else
        k_.store_kv(spans, shape, k, k + c.kv_width(), qkv_width(), pool_);
      k_.attention(spans, shape, machine_.backend.precision, step_.phase, qkv.data(), qkv_width(), out.data(),
                   pool_);
    }
  }

  // Runs of the rotation's width in each row.
  void rotate(const RotationPtr& rotation, FloatArray& x, int64_t stride, int64_t runs = 1) const {
    if (rotation) k_.rotate_runs(*rotation, false, x.data(), step_.rows, stride, runs, pool_);
  }
  void unrotate(const RotationPtr& rotation, FloatArray& x, int64_t stride, int64_t runs = 1,
                int64_t first = 0) const {
    if (rotation) k_.rotate_runs(*rotation, true, x.data() + first, step_.rows, stride, runs, pool_);
  }

  int64_t qkv_width() const { return machine_.config.q_width() + 2 * machine_.config.kv_width(); }

 private:
  // Inputs that are looked at between two stages are made before, and so are those that several matrices
  // read.
  bool turns_while_storing() const { return k_.rope_store_kv && !machine_.config.rotations.query_key; }

  bool makes_input(const Linear& w) const {
    return k_.linear_of && !step_.staged && w.pieces.size() == 1 && w.low_rank.empty();
  }

  void apply(const Linear& w, const kernels::LinearInput& input, FloatArray& y, bool accumulate) const {
    k_.linear_of(*w.pieces.front(), input, step_.rows, step_.phase, bias_of(w), accumulate, y.data(), w.rows,
                 pool_);
  }

  void apply(const Linear& w, const FloatArray& x, FloatArray& y, bool accumulate) const {
    const float* bias = bias_of(w);
    int64_t first = 0;
    for (const auto& piece : w.pieces) {
      multiply(*piece, x.data(), bias ? bias + first : nullptr, accumulate, y.data() + first, w.rows);
      first += piece->rows();
    }
    for (const PackedLowRank& part : w.low_rank) {
      const int64_t rank = part.right->rows();
      step_.directions.reserve(memory_, static_cast<size_t>(step_.rows * rank), "low-rank parts");
      multiply(*part.right, x.data(), nullptr, false, step_.directions.data(), rank);
      multiply(*part.left, step_.directions.data(), nullptr, true, y.data() + part.first_row, w.rows);
    }
  }
  const float* bias_of(const Linear& w) const { return w.bias.empty() ? nullptr : w.bias.in(memory_); }

  void multiply(const kernels::PackedMatrix& w, const float* x, const float* bias, bool accumulate, float* y,
                int64_t y_row) const {
    k_.linear(w, x, step_.rows, step_.phase, bias, accumulate, y, y_row, pool_);
  }

  const kernels::KernelSet& k_;
  base::ThreadPool& pool_;
  const kernels::Memory& memory_;
  const Machine& machine_;
  Step& step_;
};

}  // namespace

void Step::reserve(const Config& c, const kernels::Memory& where, int64_t new_rows) {
  memory = &where;
  const auto grow = [&](auto& array, int64_t width) {
    array.reserve(where, static_cast<size_t>(new_rows * width), "the activations of a step");
  };
  grow(x, c.hidden_size);
  grow(normed, c.hidden_size);
  grow(qkv, c.q_width() + 2 * c.kv_width());
  grow(attended, c.q_width());
  grow(gate_up, 2 * c.intermediate_size);
  grow(activated, c.intermediate_size);
  grow(placed_positions, 1);
  if (inv_freq.empty()) inv_freq = {where, std::span(c.rope_inv_freq), "rope's frequencies"};
  tokens.reserve(static_cast<size_t>(new_rows));
  positions.reserve(static_cast<size_t>(new_rows));
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
  spans.push_back({.cache = cache.view(), .first_row = rows, .rows = n, .position = cache.length()});
  caches.push_back(&cache);
  tokens.insert(tokens.end(), more.begin(), more.end());
  for (int64_t i = 0; i < n; ++i) positions.push_back(static_cast<int32_t>(cache.length() + i));
  rows += n;
}

void Step::place() {
  parts.clear();
  part_list.clear();
  if (spans.front().cache.format != kernels::KvFormat::int4) {
    parts = spans;
    part_list.push_back({0, spans.size()});
  } else {
    int64_t longest = 0;
    for (const kernels::AttentionSpan& span : spans) longest = std::max(longest, span.rows);
    for (int64_t done = 0; done < longest; done += kernels::kKvRows) {
      const size_t first = parts.size();
      for (const kernels::AttentionSpan& span : spans) {
        const int64_t count = std::clamp<int64_t>(span.rows - done, 0, kernels::kKvRows);
        if (count > 0) parts.push_back({span.cache, span.first_row + done, count, span.position + done});
      }
      part_list.push_back({first, parts.size() - first});
    }
  }
  placed_parts.reserve(*memory, parts.size(), "the spans of a step");
  placed_parts.write(parts);
  placed_positions.write(positions);
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
  const kernels::Memory& memory = machine.backend.memory();
  const int64_t width = embedding.cols;
  std::vector<float> copied(memory.is_host() ? 0 : static_cast<size_t>(step.rows * width));
  float* to = memory.is_host() ? step.x.data() : copied.data();
  machine.backend.pool->parallel_for(step.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t token = step.tokens[static_cast<size_t>(row)];
      float* x = to + row * width;
      tensor::dequantize(embedding, token, token + 1, x);
      if (machine.backend.precision != Precision::fp32)
        for (int64_t i = 0; i < width; ++i) x[i] = numeric::bf16_to_float(numeric::float_to_bf16(x[i]));
    }
  });
  step.x.write(copied);
  Ops(machine, step).rotate(machine.config.rotations.residual, step.x, width);
}

void leave_blocks(const Machine& machine, const Vector& final_norm, int64_t rows, float* x, float* hidden) {
  const kernels::KernelSet& k = *machine.backend.kernels;
  const Config& c = machine.config;
  if (const RotationPtr& r = c.rotations.residual)
    k.rotate_runs(*r, true, x, rows, c.hidden_size, 1, *machine.backend.pool);
  k.rms_norm(x, final_norm.in(machine.backend.memory()), c.rms_eps, rows, c.hidden_size, hidden,
             *machine.backend.pool);
}

void decoder_block(const Machine& machine, const Block& w, int64_t layer, Step& s) {
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
      op.norm_linear(w.qkv, s.x, w.attention_norm, s.normed, s.qkv);
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
      if (s.staged) op.rms_norm(s.x, w.mlp_norm, s.normed);
      break;
    case Stage::gate_up:
      op.norm_linear(w.gate_up, s.x, w.mlp_norm, s.normed, s.gate_up);
      op.unrotate(r.gate_up_out, s.gate_up, 2 * c.intermediate_size, 2);
      if (s.staged) op.activate(s.gate_up, s.activated);
      break;
    case Stage::down:
      op.add_gated_linear(w.down, s.gate_up, s.activated, s.x);
      break;
  }
}

bool adds_to_residual(Stage stage) { return stage == Stage::attention_out || stage == Stage::down; }

FloatArray& stage_input(Stage stage, Step& s) {
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
