#include "kernels/cuda/products.h"

#include "kernels/cuda/ptx/pairs.h"
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kSide = 16;   // threads along rows and columns of a tile
constexpr int kDepth = 16;  // columns of a that are in shared memory

// Outputs of a thread along each side, kSide apart.
template <class T>
constexpr int kOwn = sizeof(T) == 4 ? 8 : 4;

template <class T>
struct Operands {
  T a[kDepth][kSide * kOwn<T> + 1];
  T b[kDepth][kSide * kOwn<T>];
};

__device__ inline float multiply_and_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ inline double multiply_and_add(double a, double b, double c) { return fma(a, b, c); }

template <class T>
__device__ inline void load_operands(const ProductJob<T>& job, int64_t row, int64_t col, int64_t depth,
                                     Operands<T>& s) {
  constexpr int kTile = kSide * kOwn<T>;
  for (int i = thread_in_block(); i < kTile * kDepth; i += kThreads) {
    const int64_t r = row + i / kDepth, k = depth + i % kDepth;
    s.a[i % kDepth][i / kDepth] = r < job.rows && k < job.depth ? job.a[r * job.a_row + k] : T{0};
  }
  for (int i = thread_in_block(); i < kTile * kDepth; i += kThreads) {
    const int64_t k = depth + i / kTile, c = col + i % kTile;
    s.b[i / kTile][i % kTile] = k < job.depth && c < job.cols ? job.b[k * job.b_row + c] : T{0};
  }
}

// f(sum, address) for the thread's outputs that exist.
template <class T, class F>
__device__ inline void each_output(const ProductJob<T>& job, int64_t row, int64_t col,
                                   T (&sums)[kOwn<T>][kOwn<T>], F f) {
  AQ_UNROLL
  for (int i = 0; i < kOwn<T>; ++i) {
    AQ_UNROLL
    for (int j = 0; j < kOwn<T>; ++j) {
      const int64_t r = row + i * kSide + thread_in_block() / kSide,
                    c = col + j * kSide + thread_in_block() % kSide;
      if (r < job.rows && c < job.cols) f(sums[i][j], job.c + r * job.c_row + c);
    }
  }
}

// Each element is one chain of FMAs, depth ascending. Limit: FP32 (FP64) rate of the cores; shared memory
// feeds 64 (16) FMAs with 16 (8) numbers.
template <class T>
__global__ void __launch_bounds__(kThreads, 2) multiply_tiles(const __grid_constant__ ProductJob<T> job) {
  constexpr int kTile = kSide * kOwn<T>;
  Operands<T>& s = shared<Operands<T>>();
  const int64_t row = int64_t{blockIdx.y} * kTile, col = int64_t{blockIdx.x} * kTile;
  T sums[kOwn<T>][kOwn<T>] = {};
  each_output(job, row, col, sums, [](T& sum, const T* c) { sum = *c; });
  for (int64_t depth = 0; depth < job.depth; depth += kDepth) {
    load_operands(job, row, col, depth, s);
    __syncthreads();
    const int count = static_cast<int>(job.depth - depth < kDepth ? job.depth - depth : kDepth);
    for (int k = 0; k < count; ++k) {
      T a[kOwn<T>], b[kOwn<T>];
      AQ_UNROLL
      for (int i = 0; i < kOwn<T>; ++i) {
        a[i] = s.a[k][i * kSide + thread_in_block() / kSide];
        b[i] = s.b[k][i * kSide + thread_in_block() % kSide];
      }
      AQ_UNROLL
      for (int i = 0; i < kOwn<T>; ++i) {
        AQ_UNROLL
        for (int j = 0; j < kOwn<T>; ++j) sums[i][j] = multiply_and_add(a[i], b[j], sums[i][j]);
      }
    }
    __syncthreads();
  }
  each_output(job, row, col, sums, [](const T& sum, T* c) { *c = sum; });
}

template <class T>
void start(const ProductJob<T>& job) {
  constexpr int64_t kTile = kSide * kOwn<T>;
  if (job.rows <= 0 || job.cols <= 0) return;
  launch({.grid = {static_cast<uint32_t>(blocks_for(job.cols, kTile)),
                   static_cast<uint32_t>(blocks_for(job.rows, kTile))},
          .block = {kThreads},
          .shared_bytes = sizeof(Operands<T>)},
         stream(), multiply_tiles<T>, job);
}

struct Square {
  float x[32][33];
};

// A square of 32 by 32, turned in shared memory. Limit: device memory.
__global__ void __launch_bounds__(kThreads) split_squares(const __grid_constant__ SplitJob job) {
  Square& s = shared<Square>();
  const int64_t row = int64_t{blockIdx.x} * 32, col = int64_t{blockIdx.y} * 32;
  const int lane = thread_in_block() % kWarp, warp = thread_in_block() / kWarp;
  for (int i = warp; i < 32; i += kThreads / kWarp) {
    const bool there = row + i < job.rows && col + lane < job.cols;
    s.x[i][lane] = there ? job.x[(row + i) * job.x_row + col + lane] : 0.0f;
  }
  __syncthreads();
  for (int i = warp; i < 32; i += kThreads / kWarp) {
    if (col + i >= job.cols) continue;
    const float x = s.x[lane][i];
    const uint32_t high = ptx::to_bf16(x, 0.0f) & 0xffff;
    const uint32_t low = ptx::to_bf16(x - __uint_as_float(high << 16), 0.0f);
    job.high[(col + i) * job.depth + row + lane] = static_cast<uint16_t>(high);
    job.low[(col + i) * job.depth + row + lane] = static_cast<uint16_t>(low);
  }
}

__global__ void __launch_bounds__(kThreads) add_elements(const __grid_constant__ AddJob job) {
  const int64_t col = int64_t{blockIdx.x} * kThreads + thread_in_block(), row = blockIdx.y;
  if (col < job.cols) job.to[row * job.to_row + col] += job.from[row * job.from_row + col];
}

}  // namespace

void multiply_add(const ProductJob<float>& job) { start(job); }
void multiply_add(const ProductJob<double>& job) { start(job); }

void split_columns(const SplitJob& job) {
  launch({.grid = {static_cast<uint32_t>(job.depth / 32), static_cast<uint32_t>(blocks_for(job.cols, 32))},
          .block = {kThreads},
          .shared_bytes = sizeof(Square)},
         stream(), split_squares, job);
}

void add_rows(const AddJob& job) {
  launch({.grid = {static_cast<uint32_t>(blocks_for(job.cols, kThreads)), static_cast<uint32_t>(job.rows)},
          .block = {kThreads}},
         stream(), add_elements, job);
}

}  // namespace aquatint::kernels::cuda
