// The slots pack and linear: weights on the device, and which kernels multiply them.
#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/linear_decode.h"
#include "kernels/cuda/linear_input.h"
#include "kernels/cuda/linear_pack.h"
#include "kernels/cuda/linear_prefill.h"
#include "kernels/cuda/linear_rule.h"
#include "kernels/cuda/slots.h"
#include "kernels/input_rounding.h"

namespace aquatint::kernels::cuda {
namespace {

using numeric::ActivationScheme;
using numeric::Format;
using tensor::QuantizedMatrix;

// Parts that are multiplied by one launch: their blocks of rows one after the other.
struct Group {
  DecodeWeight w;
  int64_t depth = 0;      // of its records
  bool integers = false;  // Precision::int8 meets them with int8 inputs
  bool offsets = false;   // needs sums of inputs
  bool dense = false;     // rows of the blocks are rows of the result without gaps
  int first_row = 0, rows = 0;
  DeviceBuffer tables;            // what w points to
  const float* values = nullptr;  // of Codes::f32: [rows, padded to 64][depth]
};

struct DeviceMatrix final : PackedMatrix {
  int64_t rows() const override { return out_features; }
  int64_t cols() const override { return in_features; }
  uint64_t bytes() const override { return total_bytes; }

  int64_t out_features = 0, in_features = 0, depth = 0;  // depth: the groups' largest
  uint64_t total_bytes = 0;
  Precision precision{};
  ActivationScheme input;
  std::vector<DeviceBuffer> records;  // by part
  std::vector<Group> groups;
};

// ---- pack

// All records of a part, by way of a piece of host memory.
bool upload(const QuantizedMatrix& m, const PartPlan& plan, DeviceBuffer& to, base::ThreadPool& pool) {
  constexpr int64_t kPiece = 64 << 20;
  const int64_t bytes = plan.row_block_bytes(), at_once = std::max<int64_t>(1, kPiece / bytes);
  std::vector<std::byte> piece;
  std::vector<char> whole;
  for (int64_t first = 0; first < plan.row_blocks(); first += at_once) {
    const int64_t count = std::min(at_once, plan.row_blocks() - first);
    piece.assign(static_cast<size_t>(count * bytes), std::byte{0});
    whole.assign(static_cast<size_t>(count), 1);
    pool.parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        whole[static_cast<size_t>(i)] = fill_row_block(m, plan, first + i, piece.data() + i * bytes);
    });
    if (std::find(whole.begin(), whole.end(), 0) != whole.end()) return false;
    copy_to_device(to.data() + first * bytes, piece.data(), piece.size());
  }
  return true;
}

PartPlan pack_part(const QuantizedMatrix& m, Precision precision, DeviceMatrix& packed,
                   base::ThreadPool& pool) {
  const auto buffer_for = [](const PartPlan& plan) {
    return DeviceBuffer(static_cast<size_t>(plan.row_blocks() * plan.row_block_bytes()));
  };
  PartPlan plan = plan_part(m, precision);
  DeviceBuffer records = buffer_for(plan);
  if (!upload(m, plan, records, pool)) {
    plan = plan_as_bf16(m);
    records = buffer_for(plan);
    AQ_CHECK(upload(m, plan, records, pool), "BF16 holds every value");
  }
  packed.total_bytes += records.size();
  packed.records.push_back(std::move(records));
  return plan;
}

struct Part {
  const QuantizedMatrix* m;
  PartPlan plan;
  const std::byte* records;
  int64_t first_row;
};

bool same_group(const PartPlan& a, const PartPlan& b) {
  return a.record == b.record && a.table == b.table && a.depth == b.depth && a.integers == b.integers &&
         a.row_scales == b.row_scales && a.record.codes != Codes::f32;
}

// Host copies of a group's tables.
struct Tables {
  std::vector<BlockRows> rows;
  std::vector<float> factors, offsets;
  bool has_factors = false, has_offsets = false;
};

void add_part(const Part& part, Tables& t) {
  const PartPlan& plan = part.plan;
  for (int64_t i = 0; i < plan.row_blocks(); ++i) {
    const int64_t first = i * kBlockRows, count = std::min<int64_t>(kBlockRows, plan.rows - first);
    t.rows.push_back({part.records + i * plan.row_block_bytes(), static_cast<int>(part.first_row + first),
                      static_cast<int>(count)});
    for (int64_t row = first; row < first + kBlockRows; ++row) {
      const bool real = row < plan.rows;
      t.factors.push_back(plan.row_scales && real ? row_scale(*part.m, row) : plan.factor);
      t.offsets.push_back(plan.row_offsets && real ? row_offset(*part.m, row) : 0.0f);
    }
  }
  t.has_factors |= plan.row_scales || plan.factor != 1;
  t.has_offsets |= plan.row_offsets;
}

// Tables in one buffer, behind each other.
void place(const Tables& t, Group& g) {
  const size_t blocks = t.rows.size(), floats = blocks * kBlockRows * sizeof(float);
  g.tables = DeviceBuffer(blocks * (sizeof(BlockRows) + sizeof(uint32_t)) + 2 * floats);
  std::byte* at = g.tables.data();
  copy_to_device(at, t.rows.data(), blocks * sizeof(BlockRows));
  g.w.rows = reinterpret_cast<const BlockRows*>(at);
  at += blocks * sizeof(BlockRows);
  copy_to_device(at, t.factors.data(), floats);
  if (t.has_factors) g.w.row_factors = reinterpret_cast<const float*>(at);
  copy_to_device(at + floats, t.offsets.data(), floats);
  if (t.has_offsets) g.w.row_offsets = reinterpret_cast<const float*>(at + floats);
  g.w.arrived = reinterpret_cast<uint32_t*>(at + 2 * floats);
  zero(g.w.arrived, blocks * sizeof(uint32_t));
}

Group make_group(std::span<const Part> parts) {
  const PartPlan& plan = parts.front().plan;
  Group g;
  g.depth = plan.depth;
  g.integers = plan.integers;
  g.w.plan = plan.record;
  std::copy(plan.table.begin(), plan.table.end(), g.w.table);
  if (plan.record.codes == Codes::f32)
    g.values = reinterpret_cast<const float*>(parts.front().records);
  else
    g.w.chunks = plan_chunks(plan.record, plan.depth);
  g.w.at = places(plan.record);
  Tables t;
  g.dense = true;
  g.first_row = static_cast<int>(parts.front().first_row);
  for (const Part& part : parts) {
    g.dense = g.dense && g.rows % kBlockRows == 0;
    g.rows += static_cast<int>(part.plan.rows);
    add_part(part, t);
  }
  g.w.row_blocks = static_cast<int>(t.rows.size());
  g.offsets = t.has_offsets || plan.record.offset != OffsetWord::none;
  place(t, g);
  return g;
}

// ---- inputs

// Working memory in pieces.
class Pieces {
 public:
  // Counts first, hands out when `base` is there.
  explicit Pieces(std::byte* base = nullptr) : base_(base) {}
  template <class T>
  T* take(int64_t count) {
    std::byte* at = base_ ? base_ + used_ : nullptr;
    used_ += (static_cast<size_t>(count) * sizeof(T) + 255) / 256 * 256;
    return reinterpret_cast<T*>(at);
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

void take_inputs(const InputRule& rule, bool sums, Inputs& in, Pieces& pieces) {
  const int64_t count = in.tokens * in.depth, size = in.order == InputOrder::fp32 ? 4 : 2;
  in.values = pieces.take<std::byte>(count * size);
  in.scales = pieces.take<float>(in.tokens);
  const bool outliers = rule.threshold > 0;
  if (outliers) in.outliers = pieces.take<std::byte>(count * size);
  if (rule.blocks) in.steps = pieces.take<float>(count / kBlockColumns);
  if (!sums) return;
  in.sums = pieces.take<float>(count / kTileDepth);
  in.totals = pieces.take<float>(in.tokens);
  if (!outliers) return;
  in.outlier_sums = pieces.take<float>(count / kTileDepth);
  in.outlier_totals = pieces.take<float>(in.tokens);
}

// Tokens rounded into working memory.
Inputs round(const InputRule& rule, bool sums, Inputs in) {
  Pieces counted;
  take_inputs(rule, sums, in, counted);
  Pieces pieces(static_cast<std::byte*>(workspace(Purpose::linear_input, counted.used())));
  take_inputs(rule, sums, in, pieces);
  round_inputs(rule, in);
  return in;
}

// ---- multiply

bool has_scales(const InputRule& rule) {
  return rule.scale == InputScale::token || rule.scale == InputScale::constant;
}

void decode_tokens(const DeviceMatrix& w, const LinearInput& x, int64_t rows, bool blocks,
                   const DecodeOutput& out) {
  const auto met = [&](const Group& g) {
    return g.integers == blocks || w.precision != Precision::int8 || w.input.format;
  };
  bool sums = false, any = false;
  for (const Group& g : w.groups)
    if (met(g)) any = true, sums |= g.offsets;
  if (!any) return;
  const InputRule rule = input_rule(w.input, w.precision, blocks);
  const Inputs in = round(rule, sums, {x, rows, w.in_features, w.depth, InputOrder::steps});
  const DecodeInputs of_codes = {static_cast<const uint16_t*>(in.values),
                                 static_cast<int>(rows),
                                 static_cast<int>(w.depth / kTileDepth),
                                 has_scales(rule) ? in.scales : nullptr,
                                 in.sums,
                                 in.totals,
                                 in.steps};
  for (const Group& g : w.groups) {
    if (!met(g)) continue;
    decode_linear(g.w, of_codes, out);
    if (rule.threshold <= 0) continue;
    DecodeInputs of_outliers = of_codes;
    of_outliers.values = static_cast<const uint16_t*>(in.outliers);
    of_outliers.scales = nullptr;
    of_outliers.sums = in.outlier_sums;
    of_outliers.totals = in.outlier_totals;
    decode_linear(g.w, of_outliers, {out.y, out.y_row, nullptr, true});
  }
}

// What a group is multiplied in: codes of 8 bits where both sides are such and all scales stand outside.
GemmType dense_type(const DeviceMatrix& w, const Group& g) {
  if (g.values) return GemmType::fp32;
  const Format* input = w.input.format;
  const bool whole_rows = w.input.granularity != numeric::Granularity::group || !w.input.dynamic;
  if (!input || !whole_rows || w.input.outlier_threshold > 0 || g.w.plan.units > 0 || !g.w.row_factors ||
      g.w.row_offsets)
    return GemmType::bf16;
  const Codes codes = g.w.plan.codes;
  const bool fit_int8 = (codes == Codes::int8 || codes == Codes::int4) && g.w.plan.bias > 0;  // signed
  if (fit_int8 && input->kind == numeric::Kind::integer) return GemmType::int8;
  return codes == Codes::e4m3 && input == &numeric::fp8_e4m3 ? GemmType::fp8_e4m3 : GemmType::bf16;
}

InputOrder order_of(GemmType type) {
  switch (type) {
    case GemmType::fp32:
      return InputOrder::fp32;
    case GemmType::int8:
      return InputOrder::int8;
    case GemmType::fp8_e4m3:
      return InputOrder::e4m3;
    default:
      return InputOrder::bf16;
  }
}

// Rows of a group as a dense product reads them.
const void* dense_values(const Group& g, GemmType type) {
  if (type == GemmType::fp32) return g.values;
  const size_t count = static_cast<size_t>(g.w.row_blocks * kBlockRows * g.depth);
  void* values = workspace(Purpose::weights, count * (type == GemmType::bf16 ? 2 : 1));
  if (type == GemmType::bf16)
    decode_to_bf16(g.w, static_cast<uint16_t*>(values));
  else
    decode_to_bytes(g.w, static_cast<uint8_t*>(values));
  return values;
}

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// a, a_row, m and the type of `product` are set.
void multiply_dense(const Group& g, Gemm product, const void* values, const float* scales,
                    const DecodeOutput& out) {
  product.k = product.b_row = g.depth;
  product.b = values;
  if (product.type == GemmType::fp8_e4m3) {
    product.scale = GemmScale::row;
    product.a_scale = scales;
    product.b_scale = g.w.row_factors;
    scales = nullptr;
  }
  float* y = out.y + g.first_row;
  const bool direct = g.dense && !scales && !out.bias && product.type != GemmType::int8;
  if (direct && g.rows % 16 == 0 && out.y_row % 4 == 0 && aligned(y)) {
    product.n = g.rows;
    product.d = y;
    product.d_row = out.y_row;
    product.accumulate = out.accumulate;
    return gemm(product);
  }
  product.n = product.d_row = int64_t{g.w.row_blocks} * kBlockRows;
  product.d = workspace(Purpose::linear_partial, static_cast<size_t>(product.m * product.n) * sizeof(float));
  gemm(product);
  Finish f;
  f.tokens = product.m;
  f.scales = scales;
  if (product.type == GemmType::int8)
    f.sums = static_cast<const int32_t*>(product.d);
  else
    f.products = static_cast<const float*>(product.d);
  finish_products(g.w, f, out);
}

// Tokens that go through at once, so that working memory stays small.
constexpr int64_t kDenseTokens = 4096;

// The groups that are multiplied in one type.
void prefill_tokens(const DeviceMatrix& w, const LinearInput& x, int64_t rows, GemmType type,
                    const DecodeOutput& out) {
  const auto met = [&](const Group& g) { return dense_type(w, g) == type; };
  if (std::none_of(w.groups.begin(), w.groups.end(), met)) return;
  const InputRule rule = input_rule(w.input, w.precision, false);
  const Inputs in = round(rule, false, {x, rows, w.in_features, w.depth, order_of(type)});
  Gemm product;
  product.type = type;
  product.m = rows;
  product.a_row = in.depth;
  for (const Group& g : w.groups) {
    if (!met(g)) continue;
    const void* values = dense_values(g, type);
    product.a = in.values;
    multiply_dense(g, product, values, has_scales(rule) ? in.scales : nullptr, out);
    if (rule.threshold <= 0) continue;
    product.a = in.outliers;
    multiply_dense(g, product, values, nullptr, {out.y, out.y_row, nullptr, true});
  }
}

}  // namespace

std::unique_ptr<PackedMatrix> pack(std::span<const QuantizedMatrix* const> parts, Precision precision,
                                   base::ThreadPool& pool) {
  AQ_CHECK(!parts.empty());
  auto packed = std::make_unique<DeviceMatrix>();
  packed->in_features = parts[0]->cols;
  packed->precision = precision;
  packed->input = parts[0]->input;
  check_input_scheme(packed->input);
  std::vector<Part> all;
  for (const QuantizedMatrix* m : parts) {
    AQ_CHECK(m->cols == packed->in_features && m->input == packed->input, "parts share their input");
    const PartPlan plan = pack_part(*m, precision, *packed, pool);
    all.push_back({m, plan, packed->records.back().data(), packed->out_features});
    packed->out_features += m->rows;
    packed->depth = std::max(packed->depth, plan.depth);
  }
  AQ_CHECK(packed->out_features <= std::numeric_limits<int>::max(), "rows fit an int");
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin + 1;
    while (end < all.size() && same_group(all[begin].plan, all[end].plan)) ++end;
    packed->groups.push_back(make_group({all.data() + begin, end - begin}));
    begin = end;
  }
  return packed;
}

void linear_of(const PackedMatrix& w, const LinearInput& input, int64_t rows, Phase phase, const float* bias,
               bool accumulate, float* y, int64_t y_row, base::ThreadPool&) {
  const DeviceMatrix& m = static_cast<const DeviceMatrix&>(w);
  if (phase == Phase::decode && m.precision != Precision::fp32) {
    decode_tokens(m, input, rows, false, {y, y_row, bias, accumulate});
    if (m.precision == Precision::int8 && !m.input.format)
      decode_tokens(m, input, rows, true, {y, y_row, bias, accumulate});
    return;
  }
  for (int64_t first = 0; first < rows; first += kDenseTokens) {
    LinearInput some = input;
    some.x += first * m.in_features * (input.gated ? 2 : 1);
    for (const GemmType type : {GemmType::fp32, GemmType::bf16, GemmType::fp8_e4m3, GemmType::int8})
      prefill_tokens(m, some, std::min(kDenseTokens, rows - first), type,
                     {y + first * y_row, y_row, bias, accumulate});
  }
}

void linear(const PackedMatrix& w, const float* x, int64_t rows, Phase phase, const float* bias,
            bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool) {
  linear_of(w, {x}, rows, phase, bias, accumulate, y, y_row, pool);
}

}  // namespace aquatint::kernels::cuda
