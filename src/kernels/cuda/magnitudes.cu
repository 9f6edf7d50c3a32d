// Statistics of columns: one pass over x. Limit: device memory.
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/slots.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kThreads = 128;     // of a block: as many columns
constexpr int64_t kPiece = 4096;  // rows of a block

// [pieces][cols] each.
struct Pieces {
  double *sums, *squares;
  float* largest;
};

// A thread a column.
__global__ void __launch_bounds__(kThreads)
    sum_pieces(const float* x, int64_t rows, int64_t cols, Pieces to) {
  const int64_t col = int64_t{blockIdx.x} * kThreads + thread_in_block();
  if (col >= cols) return;
  const int64_t begin = int64_t{blockIdx.y} * kPiece, end = begin + kPiece < rows ? begin + kPiece : rows;
  double sum = 0, square = 0;
  float largest = 0;
  for (int64_t first = begin; first < end; first += kMagnitudeRows) {
    const int64_t last = first + kMagnitudeRows < end ? first + kMagnitudeRows : end;
    float some = 0, squares = 0;
    for (int64_t row = first; row < last; ++row) {
      const float magnitude = fabsf(x[row * cols + col]);
      some = __fadd_rn(some, magnitude);
      squares = __fmaf_rn(magnitude, magnitude, squares);
      largest = magnitude > largest ? magnitude : largest;
    }
    sum += static_cast<double>(some);
    square += static_cast<double>(squares);
  }
  const int64_t at = int64_t{blockIdx.y} * cols + col;
  to.sums[at] = sum, to.squares[at] = square, to.largest[at] = largest;
}

// In the order of the pieces.
__global__ void __launch_bounds__(kThreads)
    join_pieces(Pieces from, int64_t pieces, int64_t cols, Magnitudes to) {
  const int64_t col = int64_t{blockIdx.x} * kThreads + thread_in_block();
  if (col >= cols) return;
  for (int64_t at = col; at < pieces * cols; at += cols) {
    to.sums[col] += from.sums[at];
    to.squares[col] += from.squares[at];
    to.largest[col] = from.largest[at] > to.largest[col] ? from.largest[at] : to.largest[col];
  }
}

}  // namespace

void add_magnitudes(const float* x, int64_t rows, int64_t cols, const Magnitudes& to, base::ThreadPool&) {
  if (rows <= 0 || cols <= 0) return;
  const int64_t pieces = blocks_for(rows, kPiece), count = pieces * cols;
  auto* sums = static_cast<double*>(
      workspace(Purpose::other, static_cast<size_t>(count) * (2 * sizeof(double) + sizeof(float))));
  const Pieces parts = {sums, sums + count, reinterpret_cast<float*>(sums + 2 * count)};
  const uint32_t across = static_cast<uint32_t>(blocks_for(cols, kThreads));
  launch({.grid = {across, static_cast<uint32_t>(pieces)}, .block = {kThreads}}, stream(), sum_pieces, x,
         rows, cols, parts);
  launch({.grid = {across}, .block = {kThreads}}, stream(), join_pieces, parts, pieces, cols, to);
}

}  // namespace aquatint::kernels::cuda
