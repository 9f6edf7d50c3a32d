// tensor::Rotation over rows of activations. A block turns one run in shared memory, eight values of a thread
// at a time through three stages of the Walsh-Hadamard transform; runs that shared memory does not hold go
// through global memory, a kernel a stage. Every sum is taken in the order of the definition.
//
// Limit: memory, up to orders of M of about 16; beyond, M's products (order a value).
#include <map>
#include <memory>
#include <mutex>

#include "kernels/cuda/reduce.h"
#include "kernels/cuda/slots.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kMixColumns = 16;  // of M's inputs that a block holds aside together
constexpr int kMixRows = 4;      // outputs of M that a thread sums together
constexpr int64_t kMostShared = 227 * 1024;

// A rotation's numbers in the device's memory.
struct RotationView {
  const float* signs;
  const float* mix;  // [order][order]; null: none
  int64_t width, order, run;
  float scale;
  bool inverse;
};

struct PlacedRotation {
  DeviceBuffer signs, mix, unmix;
};

DeviceBuffer placed(const float* values, size_t count) {
  DeviceBuffer buffer(count * sizeof(float));
  if (count > 0) copy_to_device(buffer.data(), values, count * sizeof(float));
  return buffer;
}

// Rotations are few, and the same for a whole model: what was placed stays.
RotationView view_of(const tensor::Rotation& r, bool inverse) {
  static std::mutex mutex;
  static auto* known = new std::map<std::pair<int64_t, uint64_t>, PlacedRotation>;
  const std::lock_guard lock(mutex);
  auto at = known->find({r.width(), r.seed()});
  if (at == known->end()) {
    const std::vector<float>&mix = r.mix(false), &unmix = r.mix(true);
    at = known
             ->emplace(std::pair{r.width(), r.seed()},
                       PlacedRotation{placed(r.signs(), static_cast<size_t>(r.width())),
                                      placed(mix.data(), mix.size()), placed(unmix.data(), unmix.size())})
             .first;
  }
  const PlacedRotation& p = at->second;
  const float* mix = r.order() > 1 ? (inverse ? p.unmix : p.mix).data<float>() : nullptr;
  return {p.signs.data<float>(), mix, r.width(), r.order(), r.run(), r.scale(), inverse};
}

// Stages `half`, 2 · half, … (kStages of them) of the transforms of consecutive stretches of x.
template <int kStages>
__device__ inline void stages(float* x, int64_t width, int64_t half, int64_t first, int64_t step) {
  constexpr int kValues = 1 << kStages;
  for (int64_t i = first; i < width / kValues; i += step) {
    float* at = x + i / half * half * kValues + i % half;
    float v[kValues];
    AQ_UNROLL
    for (int j = 0; j < kValues; ++j) v[j] = at[j * half];
    AQ_UNROLL
    for (int distance = 1; distance < kValues; distance *= 2) AQ_UNROLL
    for (int j = 0; j < kValues; ++j)
      if ((j & distance) == 0) {
        const float a = v[j], b = v[j + distance];
        v[j] = a + b;
        v[j + distance] = a - b;
      }
    AQ_UNROLL
    for (int j = 0; j < kValues; ++j) at[j * half] = v[j];
  }
}

// H over each stretch of `run` values in shared memory; begins and ends with a barrier.
__device__ inline void transform(float* x, int64_t width, int64_t run) {
  int64_t half = 1;
  __syncthreads();
  for (; half * 8 <= run; half *= 8) {
    stages<3>(x, width, half, thread_in_block(), block_threads());
    __syncthreads();
  }
  if (half * 4 <= run) {
    stages<2>(x, width, half, thread_in_block(), block_threads());
    half *= 4;
    __syncthreads();
  }
  if (half * 2 <= run) {
    stages<1>(x, width, half, thread_in_block(), block_threads());
    __syncthreads();
  }
}

// M over the stretches of x: output i of a column is Σ mix[i][j] · x[j · run + column]. `from` holds
// kMixColumns columns' inputs. Ends with a barrier.
__device__ inline void mix_columns(const RotationView& r, float* x, float* from) {
  const auto order = static_cast<int>(r.order);
  for (int64_t begin = 0; begin < r.run; begin += kMixColumns) {
    const int columns = r.run - begin < kMixColumns ? static_cast<int>(r.run - begin) : kMixColumns;
    for (int i = thread_in_block(); i < order * kMixColumns; i += block_threads())
      if (i % kMixColumns < columns) from[i] = x[i / kMixColumns * r.run + begin + i % kMixColumns];
    __syncthreads();
    const int column = thread_in_block() % kMixColumns, step = block_threads() / kMixColumns * kMixRows;
    for (int i = thread_in_block() / kMixColumns * kMixRows; i < order && column < columns; i += step) {
      float sums[kMixRows] = {};
      for (int j = 0; j < order; ++j) {
        const float v = from[j * kMixColumns + column];
        AQ_UNROLL
        for (int k = 0; k < kMixRows; ++k)
          if (i + k < order) sums[k] = fmaf(r.mix[(i + k) * order + j], v, sums[k]);
      }
      AQ_UNROLL
      for (int k = 0; k < kMixRows; ++k)
        if (i + k < order) x[(i + k) * r.run + begin + column] = sums[k];
    }
    __syncthreads();
  }
}

struct RunShared {
  float first;  // of the run; kMixColumns · order more behind it where M mixes
};

int64_t shared_floats(const RotationView& r) { return r.width + (r.mix ? kMixColumns * r.order : 0); }

__global__ void rotate_in_shared(RotationView r, float* x, int64_t stride, int64_t runs) {
  float* values = &shared<RunShared>().first;
  float* row = x + blockIdx.x / runs * stride + blockIdx.x % runs * r.width;
  for (int64_t i = thread_in_block(); i < r.width; i += block_threads())
    values[i] = r.inverse ? row[i] : row[i] * r.signs[i];
  __syncthreads();
  if (r.inverse && r.mix) mix_columns(r, values, values + r.width);
  transform(values, r.width, r.run);
  if (!r.inverse && r.mix) mix_columns(r, values, values + r.width);
  for (int64_t i = thread_in_block(); i < r.width; i += block_threads()) {
    const float scaled = values[i] * r.scale;
    row[i] = r.inverse ? scaled * r.signs[i] : scaled;
  }
}

// The same in pieces, for runs beyond shared memory: a block per run and part of it.
enum class Step { signs, stage, mix, scale };

__global__ void rotate_step(RotationView r, Step step, int64_t half, float* x, int64_t stride, int64_t runs,
                            const float* from) {
  float* row = x + blockIdx.x / runs * stride + blockIdx.x % runs * r.width;
  const int64_t first = int64_t{blockIdx.y} * block_threads() + thread_in_block();
  const int64_t threads = int64_t{gridDim.y} * block_threads();
  if (step == Step::stage) return stages<1>(row, r.width, half, first, threads);
  const float* inputs = from + blockIdx.x * r.width;
  for (int64_t i = first; i < r.width; i += threads) {
    if (step == Step::signs) row[i] = row[i] * r.signs[i];
    if (step == Step::scale) row[i] = r.inverse ? row[i] * r.scale * r.signs[i] : row[i] * r.scale;
    if (step != Step::mix) continue;
    float sum = 0;
    for (int64_t j = 0; j < r.order; ++j)
      sum = fmaf(r.mix[i / r.run * r.order + j], inputs[j * r.run + i % r.run], sum);
    row[i] = sum;
  }
}

__global__ void copy_runs(const float* x, int64_t stride, int64_t runs, int64_t width, float* out) {
  const float* row = x + blockIdx.x / runs * stride + blockIdx.x % runs * width;
  const int64_t first = int64_t{blockIdx.y} * block_threads() + thread_in_block();
  for (int64_t i = first; i < width; i += int64_t{gridDim.y} * block_threads())
    out[blockIdx.x * width + i] = row[i];
}

void rotate_in_steps(const RotationView& r, float* x, int64_t rows, int64_t stride, int64_t runs) {
  const Launch l{.grid = {static_cast<uint32_t>(rows * runs), 32}, .block = {256}};
  const auto start = [&](Step step, int64_t half, const float* from) {
    launch(l, stream(), rotate_step, r, step, half, x, stride, runs, from);
  };
  const auto mix = [&] {
    auto* from = static_cast<float*>(
        workspace(Purpose::other, static_cast<size_t>(rows * runs * r.width) * sizeof(float)));
    launch(l, stream(), copy_runs, static_cast<const float*>(x), stride, runs, r.width, from);
    start(Step::mix, 0, from);
  };
  if (!r.inverse) start(Step::signs, 0, nullptr);
  if (r.inverse && r.mix) mix();
  for (int64_t half = 1; half < r.run; half *= 2) start(Step::stage, half, nullptr);
  if (!r.inverse && r.mix) mix();
  start(Step::scale, 0, nullptr);
}

}  // namespace

void rotate_runs(const tensor::Rotation& rotation, bool inverse, float* x, int64_t rows, int64_t stride,
                 int64_t runs, base::ThreadPool&) {
  if (rows * runs == 0) return;
  const RotationView r = view_of(rotation, inverse);
  const int64_t bytes = shared_floats(r) * static_cast<int64_t>(sizeof(float));
  if (bytes > kMostShared) return rotate_in_steps(r, x, rows, stride, runs);
  launch({.grid = {static_cast<uint32_t>(rows * runs)},
          .block = {threads_for(r.width / 8, 512)},
          .shared_bytes = static_cast<uint32_t>(bytes)},
         stream(), rotate_in_shared, r, x, stride, runs);
}

}  // namespace aquatint::kernels::cuda
