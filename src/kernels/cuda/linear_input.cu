// One block of threads a token; a thread holds sixteen neighbouring columns at a time. Bound by launch and
// memory: the row is read twice (the second time from L1) and written once.
#include "kernels/cuda/linear_input.h"

#include "kernels/cuda/linear_plan.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/ptx/dependent_launch.h"
#include "kernels/cuda/ptx/pairs.h"
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPiece = 16;  // columns of a thread

struct InputShared {
  float of_warp[kThreads / kWarp];
  float of_norm[kMostWarps];
};

__device__ inline float power_of_two(int exponent) {
  return __uint_as_float(static_cast<uint32_t>(exponent + 127) << 23);
}

__device__ inline float to_bf16_value(float x) { return __uint_as_float(ptx::to_bf16(x, 0.0f) << 16); }

// x / y as IEEE 754 rounds it, in few registers and without a call: approximate, then corrected twice by what
// is left over. Tiny divisors are lifted first; quotients below 2^−30 may be off, and round to 0 on any grid.
__device__ inline float divide(float x, float y) {
  const float lift = y < 0x1p-60f ? 0x1p80f : 1.0f;
  x *= lift, y *= lift;
  float inverse = __fdividef(1.0f, y);
  inverse = __fmaf_rn(__fmaf_rn(-y, inverse, 1.0f), inverse, inverse);
  float quotient = __fmul_rn(x, inverse);
  quotient = __fmaf_rn(__fmaf_rn(-y, quotient, x), inverse, quotient);
  return __fmaf_rn(__fmaf_rn(-y, quotient, x), inverse, quotient);
}

// The nearest number of a format, ties to even.
__device__ inline float on_grid(const Grid& g, float x) {
  if (g.integer) return fminf(fmaxf(rintf(x), g.low), g.high);
  const float magnitude = fabsf(x);
  if (magnitude >= g.high) return copysignf(g.high, x);
  const int own = static_cast<int>(__float_as_uint(magnitude) >> 23) - 127;
  const int step = (own < g.exponent ? g.exponent : own) - g.mantissa;
  return rintf(x * power_of_two(-step)) * power_of_two(step);
}

__device__ inline float group_scale(const InputRule& rule, float largest) {
  if (rule.group_scale == GroupScale::power) {
    const uint32_t bumped = __float_as_uint(largest) + (1u << (22 - rule.kept_bits));
    const int exponent = static_cast<int>(bumped >> 23) - 127 - rule.top_exponent;
    return exponent < -126 ? 0x1p-127f : power_of_two(exponent);
  }
  if (rule.group_scale == GroupScale::plain) {
    const float scale = divide(largest, rule.range);
    return scale == 0 ? 0x1p-23f : scale;
  }
  const Grid e4m3 = {false, -448, 448, 3, -6};
  const float scale = on_grid(e4m3, __fmul_rn(rule.constant, divide(largest, rule.range)));
  return divide(scale == 0 ? 0.125f : scale, rule.constant);
}

// How a token's columns come.
enum class Source { plain, normed, normed_wide, gated };

template <Source kSource>
struct Token {
  const float* x;
  const float* norm;
  float factor;  // of the norm
  int cols;

  // The bits of rms_norm() and swiglu().
  __device__ float column(int col) const {
    if constexpr (kSource == Source::gated) return silu_times(x[col], x[cols + col]);
    if constexpr (kSource != Source::plain) return scaled_by_norm(x[col], factor, norm[col]);
    return x[col];
  }
};

// By all threads.
template <Source kSource>
__device__ inline Token<kSource> token_of(const Inputs& in, int64_t token) {
  const int64_t stride = kSource == Source::gated ? 2 * in.cols : in.cols;
  Token<kSource> t = {in.from.x + token * stride, in.from.norm, 1, static_cast<int>(in.cols)};
  if constexpr (kSource == Source::normed || kSource == Source::normed_wide)
    t.factor =
        norm_factor<kSource == Source::normed_wide>(t.x, in.cols, in.from.eps, shared<InputShared>().of_norm);
  return t;
}

// A column in the precision of the rule; zero behind the row, and where it is an outlier.
template <class T>
__device__ inline float plain_value(const InputRule& rule, const T& t, int col) {
  if (col >= t.cols) return 0;
  const float value = rule.to_bf16 ? to_bf16_value(t.column(col)) : t.column(col);
  return rule.threshold > 0 && fabsf(value) >= rule.threshold ? 0.0f : value;
}
template <class T>
__device__ inline float outlier_value(const InputRule& rule, const T& t, int col) {
  if (col >= t.cols) return 0;
  const float value = rule.to_bf16 ? to_bf16_value(t.column(col)) : t.column(col);
  return fabsf(value) >= rule.threshold ? value : 0.0f;
}

__device__ inline float block_sum(float value, bool largest) {
  float* of_warp = shared<InputShared>().of_warp;
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(~0u, value, distance);
    value = largest ? fmaxf(value, other) : value + other;
  }
  __syncthreads();  // the sums before have been read
  if (thread_in_block() % kWarp == 0) of_warp[thread_in_block() / kWarp] = value;
  __syncthreads();
  value = of_warp[0];
  for (int warp = 1; warp < kThreads / kWarp; ++warp)
    value = largest ? fmaxf(value, of_warp[warp]) : value + of_warp[warp];
  return value;
}

template <class T>
__device__ inline float token_scale(const InputRule& rule, const T& t) {
  if (rule.scale == InputScale::constant) return rule.constant;
  if (rule.scale != InputScale::token) return 1;
  float largest = 0;
  for (int col = thread_in_block(); col < t.cols; col += kThreads)
    largest = fmaxf(largest, fabsf(plain_value(rule, t, col)));
  const float scale = divide(block_sum(largest, true), rule.range);
  return scale == 0 ? 0x1p-23f : scale;
}

// Largest magnitude of the piece's neighbours that share a scale: `lanes` of them, a power of two.
__device__ inline float shared_largest(const float (&v)[kPiece], int lanes) {
  float largest = 0;
  AQ_UNROLL
  for (int i = 0; i < kPiece; ++i) largest = fmaxf(largest, fabsf(v[i]));
  for (int distance = 1; distance < lanes; distance *= 2)
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, distance));
  return largest;
}

// Groups of any width: each column's is looked through again.
template <class T>
__device__ inline float group_largest(const InputRule& rule, const T& t, int col) {
  const int begin = col / rule.group * rule.group;
  float largest = 0;
  for (int i = begin; i < begin + rule.group; ++i) largest = fmaxf(largest, fabsf(plain_value(rule, t, i)));
  return largest;
}

template <class T>
__device__ inline void round_groups(const InputRule& rule, const T& t, int first, float (&v)[kPiece]) {
  const int lanes = rule.group / kPiece;
  const bool regular = rule.group % kPiece == 0 && lanes <= kWarp && (lanes & (lanes - 1)) == 0;
  float scale = regular ? group_scale(rule, shared_largest(v, lanes)) : 0.0f;
  AQ_UNROLL
  for (int i = 0; i < kPiece; ++i) {
    if (first + i >= t.cols) continue;
    if (!regular && (i == 0 || (first + i) % rule.group == 0))
      scale = group_scale(rule, group_largest(rule, t, first + i));
    v[i] = __fmul_rn(on_grid(rule.grid, divide(v[i], scale)), scale);
    if (rule.to_bf16) v[i] = to_bf16_value(v[i]);
  }
}

// Sixteen columns as the rule rounds them; `step` is the scale of blocks. All lanes of a warp come along.
template <class T>
__device__ inline void round_piece(const InputRule& rule, const T& t, int first, float scale,
                                   float (&v)[kPiece], float& step) {
  AQ_UNROLL
  for (int i = 0; i < kPiece; ++i) v[i] = plain_value(rule, t, first + i);
  step = 1;
  if (rule.blocks) {
    const float largest = shared_largest(v, kBlockColumns / kPiece);
    const float inverse = largest > 0x1p-100f ? divide(127.0f, largest) : 0.0f;
    step = divide(largest, 127.0f);
    AQ_UNROLL
    for (int i = 0; i < kPiece; ++i) v[i] = rintf(__fmul_rn(v[i], inverse));
  } else if (rule.scale == InputScale::groups) {
    round_groups(rule, t, first, v);
  } else if (rule.scale != InputScale::none) {
    AQ_UNROLL
    for (int i = 0; i < kPiece; ++i) v[i] = on_grid(rule.grid, divide(v[i], scale));
  }
}

// Code of a number that E4M3 has.
__device__ inline uint32_t e4m3_code(float x) {
  const uint32_t bits = __float_as_uint(x), sign = bits >> 24 & 0x80;
  if (fabsf(x) < 0x1p-6f) return sign | static_cast<uint32_t>(fabsf(x) * 0x1p9f);
  return sign | ((bits >> 20 & 0x7ff) - (120u << 3));
}

__device__ inline void store_codes(const Inputs& in, uint8_t* to, const float (&v)[kPiece]) {
  uint32_t words[kPiece / 4] = {};
  AQ_UNROLL
  for (int i = 0; i < kPiece; ++i) {
    const uint32_t code =
        in.order == InputOrder::int8 ? static_cast<uint32_t>(static_cast<int>(v[i])) & 0xff : e4m3_code(v[i]);
    words[i / 4] |= code << 8 * (i % 4);
  }
  *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
}

__device__ inline void store_piece(const Inputs& in, void* values, int64_t token, int first,
                                   const float (&v)[kPiece]) {
  if (in.order == InputOrder::fp32) {
    float4* to = reinterpret_cast<float4*>(static_cast<float*>(values) + token * in.depth + first);
    AQ_UNROLL
    for (int i = 0; i < kPiece; i += 4) to[i / 4] = make_float4(v[i], v[i + 1], v[i + 2], v[i + 3]);
    return;
  }
  if (in.order == InputOrder::int8 || in.order == InputOrder::e4m3)
    return store_codes(in, static_cast<uint8_t*>(values) + token * in.depth + first, v);
  const bool steps = in.order == InputOrder::steps;
  uint16_t* row = static_cast<uint16_t*>(values) +
                  (steps ? (first / kBlockColumns * in.tokens + token) * kBlockColumns : token * in.depth);
  AQ_UNROLL
  for (int i = 0; i < kPiece; i += 4) {
    const int at = steps ? input_place(first % kBlockColumns + i) : first + i;
    *reinterpret_cast<uint2*>(row + at) =
        make_uint2(ptx::to_bf16(v[i], v[i + 1]), ptx::to_bf16(v[i + 2], v[i + 3]));
  }
}

__device__ inline float sum_of(const float (&v)[kPiece]) {
  float sum = 0;
  AQ_UNROLL
  for (int i = 0; i < kPiece; ++i) sum += v[i];
  return sum;
}

template <Source kSource>
__global__ void __launch_bounds__(kThreads, 2) round_tokens(InputRule rule, Inputs in) {
  ptx::let_next_start();
  ptx::wait_for_previous();
  const int64_t token = blockIdx.x;
  const Token<kSource> t = token_of<kSource>(in, token);
  const float scale = token_scale(rule, t);
  if (thread_in_block() == 0) in.scales[token] = scale;
  const int depth = static_cast<int>(in.depth), pieces = depth / kPiece;
  float total = 0, outlier_total = 0;
  // Whole warps: groups are shared by lanes.
  for (int base = 0; base < pieces; base += kThreads) {
    const int piece = base + thread_in_block(), first = piece * kPiece;
    float v[kPiece], step;
    round_piece(rule, t, first, scale, v, step);
    if (piece >= pieces) continue;
    store_piece(in, in.values, token, first, v);
    const float sum = sum_of(v);
    total += sum * step;
    if (in.sums) in.sums[token * pieces + piece] = sum;
    if (in.steps && first % kBlockColumns == 0)
      in.steps[token * (depth / kBlockColumns) + first / kBlockColumns] = step;
    if (rule.threshold <= 0) continue;
    AQ_UNROLL
    for (int i = 0; i < kPiece; ++i) v[i] = outlier_value(rule, t, first + i);
    store_piece(in, in.outliers, token, first, v);
    const float outlier_sum = sum_of(v);
    outlier_total += outlier_sum;
    if (in.outlier_sums) in.outlier_sums[token * pieces + piece] = outlier_sum;
  }
  if (!in.totals) return;
  total = block_sum(total, false);
  if (thread_in_block() == 0) in.totals[token] = total;
  if (rule.threshold <= 0) return;
  outlier_total = block_sum(outlier_total, false);
  if (thread_in_block() == 0) in.outlier_totals[token] = outlier_total;
}

template <Source kSource>
void start(const InputRule& rule, const Inputs& in) {
  launch({.grid = {static_cast<uint32_t>(in.tokens)},
          .block = {kThreads},
          .shared_bytes = sizeof(InputShared),
          .early = true},
         stream(), round_tokens<kSource>, rule, in);
}

}  // namespace

void round_inputs(const InputRule& rule, const Inputs& in) {
  if (in.from.gated) return start<Source::gated>(rule, in);
  if (!in.from.norm) return start<Source::plain>(rule, in);
  if (wide_rows(in.cols, in.cols, {in.from.x, in.from.norm})) return start<Source::normed_wide>(rule, in);
  start<Source::normed>(rule, in);
}

}  // namespace aquatint::kernels::cuda
