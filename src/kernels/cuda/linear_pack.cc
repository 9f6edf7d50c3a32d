#include "kernels/cuda/linear_pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/bytes.h"

namespace aquatint::kernels::cuda {
namespace {

using numeric::Format;
using numeric::Kind;
using tensor::QuantizedMatrix;
using tensor::Scales;

// ---- plan

// Columns along a row under one scale; 0 where they are not the same run in every row.
int64_t run_length(const QuantizedMatrix& m) {
  if (m.flat_block == 0) return std::min(m.block_cols, m.cols);
  if (m.flat_block % m.cols == 0) return m.cols;
  return m.cols % m.flat_block == 0 ? m.flat_block : 0;
}

bool fits_e4m3(const Format& format) {
  const auto values = format.table();
  return format.kind == Kind::floating && std::all_of(values.begin(), values.end(), [](float v) {
           return numeric::fp8_e4m3.decode(numeric::fp8_e4m3.encode(v)) == v || std::isnan(v);
         });
}

Codes choose_codes(const QuantizedMatrix& m) {
  const bool zero_points = !m.zero_points.empty(), minima = m.minima.present();
  const int64_t run = run_length(m);
  const bool whole_units = run == m.cols || (run > 0 && run % kTileDepth == 0);
  if (m.plain() || m.low_rank || !whole_units || (zero_points && minima) || m.format->bits > 8)
    return Codes::bf16;
  if (m.format->kind == Kind::integer) return m.format->bits <= 4 ? Codes::int4 : Codes::int8;
  if (zero_points || minima) return Codes::bf16;
  if (m.format->bits <= 4) return Codes::book4;
  return fits_e4m3(*m.format) ? Codes::e4m3 : Codes::bf16;
}

// Two levels, the second one for the whole matrix.
bool has_factor(const Scales& s) { return s.super_format && s.per_super >= s.count() && s.offset == 0; }
float factor_of(const Scales& s) {
  Scales second;
  second.format = s.super_format;
  second.codes = s.super;
  return s.super_divides ? 1 / second.at(0) : second.at(0);
}
// Scales as if there were no second level.
float first_level(const Scales& s, int64_t i) {
  const Format& f = *s.format;
  const uint8_t* at = s.codes.u8() + i * f.bytes();
  const uint32_t code = f.bytes() == 1   ? *at & ((1u << f.bits) - 1)
                        : f.bytes() == 2 ? base::load<uint16_t>(at)
                                         : base::load<uint32_t>(at);
  return s.table.empty() ? f.decode(code) : s.table[*at];
}

bool exact_in_bf16(const Format& f) {
  return &f == &numeric::bf16 || (f.bits <= 8 && f.kind == Kind::floating);
}

// As GGUF's K-quants: FP16 for a few units times small integers, a block of 64 columns under one of FP16.
bool is_super(const QuantizedMatrix& m, int64_t run) {
  const auto fits = [&](const Scales& s) {
    return s.super_format == &numeric::fp16 && !s.super_divides && s.table.empty() && s.offset == 0 &&
           s.format->kind == Kind::integer && s.format->max <= 127 &&
           run * s.per_super % kBlockColumns == 0 && m.cols % (run * s.per_super) == 0;
  };
  return run < kBlockColumns && m.zero_points.empty() && m.flat_block == 0 && m.block_rows == 1 &&
         fits(m.scales) && (!m.minima.present() || fits(m.minima));
}

ScaleWord choose_scale(const QuantizedMatrix& m, int64_t run) {
  if (is_super(m, run)) return ScaleWord::super;
  const auto one_level = [](const Scales& s) { return !s.super_format && s.table.empty() && s.offset == 0; };
  if (m.minima.present()) {
    const Format* format = m.scales.format;
    const bool same = one_level(m.scales) && one_level(m.minima) && m.minima.format == format;
    if (same && format == &numeric::fp16) return ScaleWord::fp16;
    return same && format == &numeric::bf16 ? ScaleWord::bf16 : ScaleWord::f32;
  }
  if (!m.scales.table.empty() || !(one_level(m.scales) || has_factor(m.scales))) return ScaleWord::f32;
  if (m.scales.format == &numeric::fp16) return ScaleWord::fp16;
  return exact_in_bf16(*m.scales.format) ? ScaleWord::bf16 : ScaleWord::f32;
}

void plan_units(const QuantizedMatrix& m, PartPlan& plan) {
  const int64_t run = run_length(m);
  RecordPlan& r = plan.record;
  if (run == m.cols) {
    plan.row_scales = true;
    plan.row_offsets = m.minima.present() || !m.zero_points.empty();
    return;
  }
  r.units = static_cast<int8_t>(run % 64 == 0 ? 1 : run % 32 == 0 ? 2 : 4);
  r.blocks = run % 128 == 0 ? 2 : 1;
  r.scale = choose_scale(m, run);
  if (r.scale != ScaleWord::super && has_factor(m.scales) && m.scales.table.empty() && !m.minima.present())
    plan.factor = factor_of(m.scales);
  if (m.minima.present()) r.offset = OffsetWord::minimum;
  if (m.zero_points.empty()) return;
  const auto [low, high] = std::minmax_element(m.zero_points.begin(), m.zero_points.end());
  r.zero_bias = *low >= -128 && *high <= 127 ? 0 : 128;
  r.offset = OffsetWord::zero_point;
  if (*low - r.zero_bias >= -128 && *high - r.zero_bias <= 127) return;
  r.zero_bias = 0;
  r.offset = OffsetWord::minimum;
  r.scale = ScaleWord::f32;
}

// ---- codes

constexpr uint32_t repeat(uint32_t byte) { return byte * 0x01010101u; }

// Codes of a row as they are packed, four bytes a word: distances from the lowest integer, floating formats
// recoded to E4M3.
class Recode {
 public:
  Recode(const QuantizedMatrix& m, const RecordPlan& r)
      : mask_(repeat((1u << m.format->bits) - 1)),
        flip_(repeat(static_cast<uint32_t>(r.bias))),
        e4m3_(r.codes == Codes::e4m3),
        table_(e4m3_ && m.format != &numeric::fp8_e4m3) {
    for (uint32_t code = 0; table_ && code < 1u << m.format->bits; ++code)
      to_[code] = static_cast<uint8_t>(numeric::fp8_e4m3.encode(m.format->decode(code)));
  }
  // Of four columns from `from`, of which `n` are there; zeros behind them.
  uint32_t four(const uint8_t* from, int64_t n) {
    uint32_t codes = 0;
    std::memcpy(&codes, from, static_cast<size_t>(std::min<int64_t>(n, 4)));
    codes = (codes & mask_) ^ flip_;
    if (table_) codes = look_up(codes);
    if (e4m3_) nan_ |= (((codes & repeat(0x7f)) + repeat(1)) & repeat(0x80)) != 0;
    return n >= 4 ? codes : codes & ((1u << 8 * n) - 1);
  }
  bool saw_nan() const { return nan_; }

 private:
  uint32_t look_up(uint32_t codes) const {
    uint32_t found = 0;
    for (int i = 0; i < 4; ++i) found |= static_cast<uint32_t>(to_[codes >> 8 * i & 0xff]) << 8 * i;
    return found;
  }

  uint32_t mask_, flip_;
  bool e4m3_, table_, nan_ = false;
  std::array<uint8_t, 256> to_{};
};

// Byte of a block where the codes of four columns begin, by row and columns / 4; 4-bit ones share a word with
// another row.
using QuadPlaces = std::array<std::array<uint16_t, kBlockColumns / 4>, kBlockRows>;
template <Codes codes>
constexpr QuadPlaces quad_places() {
  QuadPlaces places{};
  for (int row = 0; row < kBlockRows; ++row)
    for (int quad = 0; quad < kBlockColumns / 4; ++quad) {
      const int byte = code_place(codes, row, 4 * quad).byte;
      places[static_cast<size_t>(row)][static_cast<size_t>(quad)] =
          static_cast<uint16_t>(code_bits(codes) == 4 ? byte / 4 * 4 : byte);
    }
  return places;
}
template <Codes codes>
constexpr QuadPlaces kQuadPlaces = quad_places<codes>();

// Bytes from the first two columns of a quad to the other two.
constexpr int kPairOfBytes = code_place(Codes::int8, 0, 2).byte,
              kPairOfBf16 = code_place(Codes::bf16, 0, 2).byte;

void put_quad(Codes codes, std::byte* at, int row, uint32_t quad) {
  if (code_bits(codes) == 8) {
    base::store(at, static_cast<uint16_t>(quad));
    base::store(at + kPairOfBytes, static_cast<uint16_t>(quad >> 16));
    return;
  }
  const int upper = row % 16 / 8;
  const uint32_t swapped = (quad & 0xff0000ff) | (quad >> 8 & 0xff00) | (quad << 8 & 0xff0000);
  const uint32_t bits =
      codes == Codes::int4 ? swapped << 4 * upper : ((quad | quad >> 4) & 0x00ff00ff) << 8 * upper;
  base::store(at, base::load<uint32_t>(at) | bits);
}

// put(place, column) for every four columns of a row.
template <class Put>
void each_quad(const PartPlan& plan, int row, std::byte* records, Put put) {
  const RecordPlan& r = plan.record;
  const QuadPlaces& all = code_bits(r.codes) == 4   ? kQuadPlaces<Codes::int4>
                          : code_bits(r.codes) == 8 ? kQuadPlaces<Codes::int8>
                                                    : kQuadPlaces<Codes::bf16>;
  const auto& places = all[static_cast<size_t>(row)];
  for (int64_t block = 0; block * kBlockColumns < plan.cols; ++block) {
    std::byte* to = records + block / r.blocks * r.bytes() + block % r.blocks * block_bytes(r.codes);
    const int64_t first = block * kBlockColumns,
                  quads = std::min<int64_t>(16, base::ceil_div(plan.cols - first, 4));
    for (int64_t quad = 0; quad < quads; ++quad)
      put(to + places[static_cast<size_t>(quad)], first + 4 * quad);
  }
}

void put_codes(const PartPlan& plan, Recode& recode, const uint8_t* codes, int row, std::byte* records) {
  each_quad(plan, row, records, [&](std::byte* at, int64_t col) {
    put_quad(plan.record.codes, at, row, recode.four(codes + col, plan.cols - col));
  });
}

// bf16(col): bits of the row's value.
template <class Bf16>
void put_bf16(const PartPlan& plan, int row, std::byte* records, Bf16 bf16) {
  each_quad(plan, row, records, [&](std::byte* at, int64_t col) {
    uint16_t values[4] = {};
    for (int64_t i = 0; i < std::min<int64_t>(4, plan.cols - col); ++i) values[i] = bf16(col + i);
    base::store(at, static_cast<uint32_t>(values[0] | values[1] << 16));
    base::store(at + kPairOfBf16, static_cast<uint32_t>(values[2] | values[3] << 16));
  });
}

// ---- scales

void put_word(ScaleWord type, std::byte* words, int64_t at, float value) {
  if (type == ScaleWord::f32) base::store(words + at * 4, value);
  if (type == ScaleWord::fp16) base::store(words + at * 2, numeric::float_to_fp16(value));
  if (type == ScaleWord::bf16) base::store(words + at * 2, numeric::float_to_bf16(value));
}

void put_factor(const Scales& s, int64_t block, std::byte* factors, int64_t at) {
  const auto bits = base::load<uint16_t>(s.super.u8() + block / s.per_super * 2);
  base::store(factors + at * 2, static_cast<uint16_t>(bits ^ (s.negated ? 0x8000 : 0)));
}

std::byte small_integer(float value) { return static_cast<std::byte>(static_cast<int8_t>(value)); }

// Scale and offset of the unit that begins at `col`.
void put_unit(const QuantizedMatrix& m, const PartPlan& plan, int64_t row, int64_t col, std::byte* record) {
  const RecordPlan& r = plan.record;
  const int64_t block = m.block_of(row, col), in_block = row % kBlockRows;
  const int64_t unit = col % r.columns() / (r.columns() / r.units);
  const int64_t place = scale_place(static_cast<int>(in_block)), at = unit * kBlockRows + place;
  std::byte *scales = record + r.scales_at(), *offsets = record + r.offsets_at();
  if (r.scale == ScaleWord::super) {
    scales[at] = small_integer(first_level(m.scales, block));
    put_factor(m.scales, block, record + r.factors_at(), place);
    if (r.offset == OffsetWord::none) return;
    offsets[at] = small_integer(first_level(m.minima, block));
    put_factor(m.minima, block, record + r.offset_factors_at(), place);
    return;
  }
  const float scale = plan.factor == 1 ? m.scales.at(block) : first_level(m.scales, block);
  put_word(r.scale, scales, at, scale);
  if (r.offset == OffsetWord::zero_point)
    offsets[at] = static_cast<std::byte>(m.zero_points[static_cast<size_t>(block)] - r.zero_bias);
  else if (r.offset == OffsetWord::minimum)
    put_word(r.scale, offsets, at,
             m.minima.present() ? m.minima.at(block)
                                : -scale * static_cast<float>(m.zero_points[static_cast<size_t>(block)]));
}

void put_scales(const QuantizedMatrix& m, const PartPlan& plan, int64_t row, std::byte* records) {
  const RecordPlan& r = plan.record;
  const int64_t unit = r.columns() / r.units;
  for (int64_t col = 0; col < m.cols; col += unit)
    put_unit(m, plan, row, col, records + col / r.columns() * r.bytes());
}

}  // namespace

PartPlan plan_as_bf16(const QuantizedMatrix& m) {
  PartPlan plan;
  plan.rows = m.rows;
  plan.cols = m.cols;
  plan.record.codes = Codes::bf16;
  plan.depth = base::round_up(m.cols, kBlockColumns);
  return plan;
}

PartPlan plan_part(const QuantizedMatrix& m, Precision precision) {
  PartPlan plan = plan_as_bf16(m);
  RecordPlan& r = plan.record;
  plan.integers = !m.plain() && m.format->kind == Kind::integer;
  r.codes = precision == Precision::fp32 ? Codes::f32 : choose_codes(m);
  if (r.codes == Codes::bf16 || r.codes == Codes::f32) return plan;
  if (r.codes == Codes::int4 || r.codes == Codes::int8)
    r.bias = static_cast<int16_t>(m.format->decode((1u << m.format->bits) - 1) < 0 ? 1 << (m.format->bits - 1)
                                                                                   : 0);
  if (r.codes == Codes::book4)
    std::copy(m.format->table().begin(), m.format->table().end(), plan.table.begin());
  plan_units(m, plan);
  plan.depth = base::round_up(m.cols, r.columns());
  return plan;
}

bool fill_row_block(const QuantizedMatrix& m, const PartPlan& plan, int64_t row_block, std::byte* records) {
  static thread_local std::vector<float> values;
  static thread_local std::vector<uint8_t> scratch;
  const int64_t begin = row_block * kBlockRows, end = std::min(begin + kBlockRows, m.rows);
  if (plan.record.codes == Codes::bf16 && m.plain() && !m.low_rank && m.format == &numeric::bf16) {
    for (int64_t row = begin; row < end; ++row) {
      const uint8_t* from = m.codes.u8() + row * m.cols * 2;
      put_bf16(plan, static_cast<int>(row - begin), records,
               [&](int64_t col) { return base::load<uint16_t>(from + col * 2); });
    }
    return true;
  }
  if (plan.record.codes == Codes::bf16 || plan.record.codes == Codes::f32) {
    values.resize(static_cast<size_t>(m.cols));
    for (int64_t row = begin; row < end; ++row) {
      tensor::dequantize(m, row, row + 1, values.data());
      if (plan.record.codes == Codes::bf16)
        put_bf16(plan, static_cast<int>(row - begin), records,
                 [&](int64_t col) { return numeric::float_to_bf16(values[static_cast<size_t>(col)]); });
      else
        std::memcpy(records + (row - begin) * plan.depth * 4, values.data(), values.size() * 4);
    }
    return true;
  }
  Recode recode(m, plan.record);
  const uint8_t* codes = tensor::code_rows(m, begin, end, scratch);
  for (int64_t row = begin; row < end; ++row) {
    put_codes(plan, recode, codes + (row - begin) * m.cols, static_cast<int>(row - begin), records);
    if (plan.record.units > 0) put_scales(m, plan, row, records);
  }
  return !recode.saw_nan();
}

float row_scale(const QuantizedMatrix& m, int64_t row) { return m.scales.at(m.block_of(row, 0)); }

float row_offset(const QuantizedMatrix& m, int64_t row) {
  const int64_t block = m.block_of(row, 0);
  if (m.minima.present()) return m.minima.at(block);
  return -row_scale(m, row) * static_cast<float>(m.zero_points[static_cast<size_t>(block)]);
}

}  // namespace aquatint::kernels::cuda
