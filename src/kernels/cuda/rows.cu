// Operations on rows of activations. All are limited by memory, or at one row by the latency of a launch; at
// prompts' sizes they should reach 85 % of the memory's rate.
#include "kernels/cuda/angle.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/ptx/dependent_launch.h"
#include "kernels/cuda/slots.h"

namespace aquatint::kernels::cuda {
namespace {

// A run of `cols` neighbours; every row has `runs` of them, and rows are a stride apart.
struct Runs {
  int64_t cols, runs, stride;
};

struct NormShared {
  float of_warps[kMostWarps];
};

// A block per run. y may alias x: each thread writes what it alone has read.
template <bool kWide>
__global__ void norm_runs(const float* x, const float* weight, float eps, Runs shape, float* y) {
  ptx::let_next_start();
  ptx::wait_for_previous();
  using P = Piece<kWide>;
  const int64_t row = blockIdx.x / shape.runs, run = blockIdx.x % shape.runs;
  const float* from = x + row * shape.stride + run * shape.cols;
  float* to = y + row * shape.stride + run * shape.cols;
  const int64_t first = int64_t{thread_in_block()} * P::n, step = int64_t{block_threads()} * P::n;
  const float factor = norm_factor<kWide>(from, shape.cols, eps, shared<NormShared>().of_warps);
  for (int64_t i = first; i < shape.cols; i += step) {
    const P p = P::load(from + i), w = P::load(weight + i);
    P scaled;
    AQ_UNROLL
    for (int j = 0; j < P::n; ++j) scaled.x[j] = scaled_by_norm(p.x[j], factor, w.x[j]);
    scaled.store(to + i);
  }
}

void start_norm(const float* x, const float* weight, float eps, int64_t rows, const Runs& shape, float* y) {
  if (rows * shape.runs == 0) return;
  const bool wide = wide_rows(shape.cols, shape.stride, {x, weight, y});
  launch({.grid = {static_cast<uint32_t>(rows * shape.runs)},
          .block = {threads_for(wide ? shape.cols / 4 : shape.cols, kNormThreads)},
          .shared_bytes = sizeof(NormShared),
          .early = true},
         stream(), wide ? norm_runs<true> : norm_runs<false>, x, weight, eps, shape, y);
}

struct RopeShape {
  int64_t stride, heads, half;
};

// A block per row; a thread turns the pairs (i, i + half) of every step-th head by one angle.
__global__ void rope_rows(float* x, RopeShape shape, const int32_t* positions, const float* inv_freq,
                          float attention_factor) {
  ptx::let_next_start();
  ptx::wait_for_previous();
  float* row = x + int64_t{blockIdx.x} * shape.stride;
  const auto position = static_cast<float>(positions[blockIdx.x]);
  const auto half = static_cast<int>(shape.half);
  const int together = block_threads() >= half ? block_threads() / half : 1;  // heads
  const int step = block_threads() >= half ? half : block_threads();
  for (int i = thread_in_block() % step; i < half; i += step) {
    const int first_head = thread_in_block() / step;
    if (first_head >= together) continue;
    const SineCosine turn = sine_cosine(__fmul_rn(position, inv_freq[i]));
    for (int64_t head = first_head; head < shape.heads; head += together)
      turn_pair(row + head * 2 * half + i, half, turn, attention_factor);
  }
}

// A thread per piece of a row of h.
template <bool kWide>
__global__ void swiglu_rows(const float* gate_up, int64_t cols, float* h) {
  ptx::let_next_start();
  ptx::wait_for_previous();
  using P = Piece<kWide>;
  const int64_t i = (int64_t{blockIdx.x} * block_threads() + thread_in_block()) * P::n, row = blockIdx.y;
  if (i >= cols) return;
  P gate = P::load(gate_up + row * 2 * cols + i);
  const P up = P::load(gate_up + (row * 2 + 1) * cols + i);
  AQ_UNROLL
  for (int j = 0; j < P::n; ++j) gate.x[j] = silu_times(gate.x[j], up.x[j]);
  gate.store(h + row * cols + i);
}

}  // namespace

void rms_norm(const float* x, const float* weight, float eps, int64_t rows, int64_t cols, float* y,
              base::ThreadPool&) {
  start_norm(x, weight, eps, rows, {cols, 1, cols}, y);
}

void rms_norm_runs(float* x, const float* weight, float eps, int64_t rows, int64_t stride, int64_t runs,
                   int64_t width, base::ThreadPool&) {
  start_norm(x, weight, eps, rows, {width, runs, stride}, x);
}

void rope(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim, const int32_t* positions,
          const float* inv_freq, float attention_factor, base::ThreadPool&) {
  if (rows == 0 || head_dim < 2) return;
  launch({.grid = {static_cast<uint32_t>(rows)},
          .block = {threads_for(heads * head_dim / 2, 512)},
          .early = true},
         stream(), rope_rows, x, RopeShape{stride, heads, head_dim / 2}, positions, inv_freq,
         attention_factor);
}

void swiglu(const float* gate_up, int64_t rows, int64_t cols, float* h, base::ThreadPool&) {
  constexpr int64_t kRowsAtOnce = 65535;  // of a grid
  const bool wide = wide_rows(cols, cols, {gate_up, h});
  const int64_t pieces = wide ? cols / 4 : cols;
  const uint32_t threads = threads_for(pieces, 256);
  for (int64_t row = 0; row < rows; row += kRowsAtOnce) {
    const int64_t some = rows - row < kRowsAtOnce ? rows - row : kRowsAtOnce;
    launch({.grid = {static_cast<uint32_t>(blocks_for(pieces, threads)), static_cast<uint32_t>(some)},
            .block = {threads},
            .early = true},
           stream(), wide ? swiglu_rows<true> : swiglu_rows<false>, gate_up + row * 2 * cols, cols,
           h + row * cols);
  }
}

}  // namespace aquatint::kernels::cuda
