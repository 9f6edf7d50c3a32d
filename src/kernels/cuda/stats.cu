// Statistics of next-token distributions in one pass over the logits, FP64 sums. A block per row; at many
// rows it is limited by FP64 exponentials (about 30 operations a logit), at two fifths of the memory's rate.
#include <cstring>
#include <limits>

#include "kernels/cuda/reduce.h"
#include "kernels/cuda/slots.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kStatThreads = 512;
constexpr int kTogether = 4;  // logits of a thread that share one rescaling

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr int32_t kNowhere = std::numeric_limits<int32_t>::max();

// Of some of a row's logits: the largest, where it is first, Σ e^(x − largest).
struct Softmax {
  float largest = kMinusInfinity;
  int32_t top = kNowhere;
  double sum = 0;

  // What sums relative to `largest` are multiplied with when they become relative to `now`.
  __device__ double rescaling(float now) const {
    return largest == now ? 1.0 : exp(static_cast<double>(largest) - static_cast<double>(now));
  }
};

struct RowStats {
  Softmax of;
  double difference = 0;  // Σ e^(x − largest) · (x − the other row's number)
  Softmax other;
};

template <class T>
__device__ inline T exchanged(const T& value, int distance) {
  static_assert(sizeof(T) % 4 == 0);
  uint32_t words[sizeof(T) / 4];
  memcpy(words, &value, sizeof(T));
  AQ_UNROLL
  for (uint32_t& word : words) word = __shfl_xor_sync(~0u, word, distance);
  T out;
  memcpy(&out, words, sizeof(T));
  return out;
}

__device__ inline bool comes_first(const Softmax& a, const Softmax& b) {
  return a.largest > b.largest || (a.largest == b.largest && a.top < b.top);
}

// Both parts have some logits, or neither: a part without any has a sum of 0 and adds nothing.
__device__ inline Softmax join(const Softmax& a, const Softmax& b) {
  Softmax out = comes_first(a, b) ? a : b;
  out.sum = a.sum * a.rescaling(out.largest) + b.sum * b.rescaling(out.largest);
  return out;
}

__device__ inline RowStats join(const RowStats& a, const RowStats& b) {
  RowStats out{join(a.of, b.of), 0, join(a.other, b.other)};
  out.difference =
      a.difference * a.of.rescaling(out.of.largest) + b.difference * b.of.rescaling(out.of.largest);
  return out;
}

// Takes up to kTogether logits at i, i + step, …; returns their e^(x − largest) in `e`.
__device__ inline double add_logits(Softmax& s, const float (&x)[kTogether], int count, int64_t i,
                                    int64_t step, double (&e)[kTogether]) {
  float largest = s.largest;
  int32_t top = s.top;
  AQ_UNROLL
  for (int j = 0; j < kTogether; ++j)
    if (j < count && (x[j] > largest || top == kNowhere)) {
      largest = x[j];
      top = static_cast<int32_t>(i + j * step);
    }
  const double kept = s.sum == 0 ? 0.0 : s.rescaling(largest);
  s.sum *= kept;
  s.largest = largest;
  s.top = top;
  AQ_UNROLL
  for (int j = 0; j < kTogether; ++j) {
    e[j] = j < count ? exp(static_cast<double>(x[j]) - static_cast<double>(largest)) : 0.0;
    s.sum += e[j];
  }
  return kept;
}

template <class T>
struct StatShared {
  T of_warps[kMostWarps];
};

// Thread 0 gets all threads' part.
template <class T>
__device__ inline T join_block(T part) {
  T* of_warps = shared<StatShared<T>>().of_warps;
  for (int distance = 1; distance < kWarp; distance *= 2) part = join(part, exchanged(part, distance));
  if (lane_id() == 0) of_warps[warp_id()] = part;
  __syncthreads();
  if (thread_in_block() == 0)
    for (int warp = 1; warp < block_threads() / kWarp; ++warp) part = join(part, of_warps[warp]);
  return part;
}

// body(logits of a thread, how many, the first one's column, the step)
template <class Body>
__device__ inline void for_logits(int64_t cols, Body body) {
  const int64_t step = block_threads();
  for (int64_t i = thread_in_block(); i < cols; i += kTogether * step) {
    const int64_t left = (cols - i + step - 1) / step;
    body(i, static_cast<int>(left < kTogether ? left : kTogether), step);
  }
}

__device__ inline LogitStats finished(const Softmax& s) {
  return {static_cast<double>(s.largest) + log(s.sum), s.top};
}

__global__ void __launch_bounds__(kStatThreads)
    stat_rows(const float* logits, int64_t cols, LogitStats* out) {
  const float* row = logits + int64_t{blockIdx.x} * cols;
  Softmax s;
  for_logits(cols, [&](int64_t i, int count, int64_t step) {
    float x[kTogether] = {};
    AQ_UNROLL
    for (int j = 0; j < kTogether; ++j)
      if (j < count) x[j] = row[i + j * step];
    double e[kTogether];
    add_logits(s, x, count, i, step, e);
  });
  s = join_block(s);
  if (thread_in_block() == 0) out[blockIdx.x] = finished(s);
}

// KL = Σ p · (a − b) − (log_sum_exp of a − that of b).
__global__ void __launch_bounds__(kStatThreads)
    diverge_rows(const float* reference, const float* model, int64_t cols, Divergence* out) {
  const float* a = reference + int64_t{blockIdx.x} * cols;
  const float* b = model + int64_t{blockIdx.x} * cols;
  RowStats s;
  for_logits(cols, [&](int64_t i, int count, int64_t step) {
    float x[kTogether] = {}, y[kTogether] = {};
    AQ_UNROLL
    for (int j = 0; j < kTogether; ++j)
      if (j < count) {
        x[j] = a[i + j * step];
        y[j] = b[i + j * step];
      }
    double e[kTogether], unused[kTogether];
    s.difference *= add_logits(s.of, x, count, i, step, e);
    add_logits(s.other, y, count, i, step, unused);
    AQ_UNROLL
    for (int j = 0; j < kTogether; ++j)
      if (e[j] > 0) s.difference += e[j] * (static_cast<double>(x[j]) - static_cast<double>(y[j]));
  });
  s = join_block(s);
  if (thread_in_block() != 0) return;
  Divergence d;
  d.reference = finished(s.of);
  d.model = finished(s.other);
  d.kl = s.difference / s.of.sum - (d.reference.log_sum_exp - d.model.log_sum_exp);
  out[blockIdx.x] = d;
}

template <class T>
Launch one_block_a_row(int64_t rows, int64_t cols) {
  return {.grid = {static_cast<uint32_t>(rows)},
          .block = {threads_for(cols, kStatThreads)},
          .shared_bytes = sizeof(StatShared<T>)};
}

}  // namespace

void logit_stats(const float* logits, int64_t rows, int64_t cols, LogitStats* out, base::ThreadPool&) {
  if (rows > 0) launch(one_block_a_row<Softmax>(rows, cols), stream(), stat_rows, logits, cols, out);
}

void divergence(const float* reference, const float* model, int64_t rows, int64_t cols, Divergence* out,
                base::ThreadPool&) {
  if (rows > 0)
    launch(one_block_a_row<RowStats>(rows, cols), stream(), diverge_rows, reference, model, cols, out);
}

}  // namespace aquatint::kernels::cuda
