// Draws next tokens from rows of logits, a block a row. Probabilities are fixed point, so that sums do not
// depend on the order in which atomics come, and the thresholds of top-k and top-p are found digit by digit,
// without sorting. Limit: the row's logits, read four times from L2 by one SM (0.5 MB at 128 256 tokens), up
// to twelve times with top-k and top-p.
#include "kernels/cuda/ptx/dependent_launch.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/slots.h"

namespace aquatint::kernels::cuda {
namespace {

using Fixed = unsigned long long;  // a probability relative to the largest, times 2^40; 2^23 of them add up

constexpr int kThreads = 1024, kWarps = kThreads / kWarp;
constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits, kRounds = 32 / kDigitBits;

struct SampleShared {
  Fixed bins[kDigits];
  Fixed of_warps[kWarps];
  float largest[kWarps];
  int32_t top[kWarps];
  int32_t ties[kWarps];
  uint32_t cut;
  Fixed above, left;
  int32_t winner;  // warp that holds the token
  int32_t ties_before;
};

// Ascends with x.
__device__ inline uint32_t key_of(float x) {
  const uint32_t bits = __float_as_uint(x == 0 ? 0.0f : x);  // one key for both zeros
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// A row, of which each warp has a run of tokens.
struct Row {
  const float* logits;
  int begin, end;  // of the warp
  float largest, temperature;

  __device__ Fixed probability(float x) const {
    return static_cast<Fixed>(static_cast<double>(expf((x - largest) / temperature)) * 0x1p40);
  }
};

// f(token, logit) for the warp's tokens, one a lane; whole warps come along, `there` says which lanes count.
template <class F>
__device__ inline void each_token(const Row& row, F f) {
  for (int first = row.begin; first < row.end; first += kWarp) {
    const int token = first + lane_id();
    const bool there = token < row.end;
    f(token, there ? row.logits[token] : 0.0f, there);
  }
}

__device__ inline Fixed warp_total(Fixed value) {
  return warp_join(value, [](Fixed a, Fixed b) { return a + b; });
}

// Every thread gets the sum.
__device__ inline Fixed block_total(Fixed value, SampleShared& s) {
  value = warp_total(value);
  __syncthreads();
  if (lane_id() == 0) s.of_warps[warp_id()] = value;
  __syncthreads();
  Fixed sum = 0;
  for (const Fixed of_warp : s.of_warps) sum += of_warp;
  return sum;
}

// The largest logit and where it is first.
__device__ inline int find_largest(Row& row, SampleShared& s) {
  float largest = -INFINITY;
  int top = 0x7fffffff;
  each_token(row, [&](int token, float x, bool there) {
    if (there && (x > largest || top == 0x7fffffff)) largest = x, top = token;
  });
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(~0u, largest, distance);
    const int other_top = __shfl_xor_sync(~0u, top, distance);
    if (other > largest || (other == largest && other_top < top)) largest = other, top = other_top;
  }
  if (lane_id() == 0) s.largest[warp_id()] = largest, s.top[warp_id()] = top;
  __syncthreads();
  row.largest = s.largest[0];
  int first = s.top[0];
  for (int warp = 1; warp < kWarps; ++warp)
    if (s.largest[warp] > row.largest) row.largest = s.largest[warp], first = s.top[warp];
  return first;
}

// The largest key such that what it and those above it weigh, of keys from `least` on, is at least `wanted`;
// s.above becomes what those above it weigh. weight(x) adds up to `wanted` at least.
template <class Weight>
__device__ inline uint32_t find_cut(const Row& row, uint32_t least, double wanted, SampleShared& s,
                                    Weight weight) {
  uint32_t prefix = 0;
  if (thread_in_block() == 0) s.above = 0;
  for (int round = 0; round < kRounds; ++round) {
    const int shift = 32 - kDigitBits * (round + 1);
    if (thread_in_block() < kDigits) s.bins[thread_in_block()] = 0;
    __syncthreads();
    each_token(row, [&](int, float x, bool there) {
      const uint32_t key = key_of(x);
      const bool same = round == 0 || key >> (shift + kDigitBits) == prefix;
      if (there && same && key >= least) atomicAdd(&s.bins[key >> shift & (kDigits - 1)], weight(x));
    });
    __syncthreads();
    if (thread_in_block() == 0) {
      int digit = kDigits - 1;
      Fixed above = s.above;
      while (digit > 0 && static_cast<double>(above + s.bins[digit]) < wanted) above += s.bins[digit--];
      s.above = above;
      s.cut = prefix << kDigitBits | static_cast<uint32_t>(digit);
    }
    __syncthreads();
    prefix = s.cut;
  }
  return prefix;
}

// What is left to draw from: keys above `cut`, and the first `ties` of those at it.
struct Kept {
  uint32_t cut = 0;
  int64_t ties = INT64_MAX;
  Fixed total = 0;  // of all that is kept
};

__device__ inline Kept keep(const Row& row, const Draw& draw, int64_t cols, SampleShared& s) {
  Kept k;
  if (draw.top_k > 0 && draw.top_k < cols)
    k.cut = find_cut(row, 0, static_cast<double>(draw.top_k), s, [](float) { return Fixed{1}; });
  Fixed total = 0;
  each_token(row, [&](int, float x, bool there) {
    if (there && key_of(x) >= k.cut) total += row.probability(x);
  });
  k.total = block_total(total, s);
  if (draw.top_p >= 1) return k;
  const double wanted = static_cast<double>(draw.top_p) * static_cast<double>(k.total);
  k.cut = find_cut(row, k.cut, wanted, s, [&](float x) { return row.probability(x); });
  const uint32_t bits = k.cut & 0x80000000u ? k.cut & 0x7fffffffu : ~k.cut;
  const Fixed at_cut = row.probability(__uint_as_float(bits));
  const double missing = wanted - static_cast<double>(s.above);
  k.ties = at_cut > 0 ? static_cast<int64_t>(ceil(missing / static_cast<double>(at_cut))) : 1;
  if (k.ties < 1) k.ties = 1;
  k.total = s.above + static_cast<Fixed>(k.ties) * at_cut;
  return k;
}

// Of a token, before whom so many at the cut have come.
__device__ inline Fixed share(const Row& row, const Kept& k, float x, int64_t ties_before) {
  const uint32_t key = key_of(x);
  if (key > k.cut || (key == k.cut && ties_before < k.ties)) return row.probability(x);
  return 0;
}

// Calls f(token, its share) in the order of tokens, `ties` at the cut having come before the warp's; lanes
// get those of their tokens.
template <class F>
__device__ inline void each_share(const Row& row, const Kept& k, int64_t ties, F f) {
  each_token(row, [&](int token, float x, bool there) {
    const bool tie = there && key_of(x) == k.cut;
    const uint32_t tied = __ballot_sync(~0u, tie);
    const uint32_t before = tied & ((1u << lane_id()) - 1);
    f(token, there ? share(row, k, x, ties + __popc(before)) : Fixed{0});
    ties += __popc(tied);
  });
}

// In which warp's run the drawn number lies, and where in it: thread 0 looks, all get to know.
__device__ inline void find_warp(const Row& row, const Kept& k, Fixed drawn, SampleShared& s) {
  int ties = 0;
  each_token(row, [&](int, float x, bool there) { ties += there && key_of(x) == k.cut; });
  ties = warp_join(ties, [](int a, int b) { return a + b; });
  if (lane_id() == 0) s.ties[warp_id()] = ties;
  __syncthreads();
  int64_t before = 0;
  for (int warp = 0; warp < warp_id(); ++warp) before += s.ties[warp];
  Fixed sum = 0;
  each_share(row, k, before, [&](int, Fixed p) { sum += p; });
  sum = warp_total(sum);
  if (lane_id() == 0) s.of_warps[warp_id()] = sum;
  __syncthreads();
  if (thread_in_block() == 0) {
    s.winner = 0;
    s.ties_before = 0;
    while (s.winner < kWarps - 1 && drawn >= s.of_warps[s.winner]) {
      drawn -= s.of_warps[s.winner];
      s.ties_before += s.ties[s.winner++];
    }
    s.left = drawn;
  }
  __syncthreads();
}

// The winner's lanes together: the token whose share covers s.left, else the last one that has any.
__device__ inline int find_token(const Row& row, const Kept& k, const SampleShared& s) {
  Fixed left = s.left;
  int found = -1, last = row.begin;
  each_share(row, k, s.ties_before, [&](int token, Fixed p) {
    Fixed upto = p;
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const Fixed other = __shfl_sync(~0u, upto, lane_id() >= distance ? lane_id() - distance : lane_id());
      if (lane_id() >= distance) upto += other;
    }
    const uint32_t covers = __ballot_sync(~0u, upto > left), any = __ballot_sync(~0u, p > 0);
    const int first = token - lane_id();
    if (found < 0 && covers) found = first + __ffs(static_cast<int>(covers)) - 1;
    if (any) last = first + 31 - __clz(static_cast<int>(any));
    left -= covers ? 0 : __shfl_sync(~0u, upto, kWarp - 1);
  });
  return found < 0 ? last : found;
}

__global__ void __launch_bounds__(kThreads)
    draw_tokens(const float* logits, int64_t cols, const Draw* draws, int32_t* tokens) {
  ptx::let_next_start();
  ptx::wait_for_previous();
  SampleShared& s = shared<SampleShared>();
  const Draw draw = draws[blockIdx.x];
  const int width = static_cast<int>((cols + kWarps - 1) / kWarps), all = static_cast<int>(cols);
  Row row = {logits + int64_t{blockIdx.x} * cols, warp_id() * width, (warp_id() + 1) * width, 0,
             draw.temperature};
  row.begin = row.begin < all ? row.begin : all;
  row.end = row.end < all ? row.end : all;
  int token = find_largest(row, s);
  if (draw.temperature > 0) {
    const Kept k = keep(row, draw, cols, s);
    Fixed drawn = static_cast<Fixed>(draw.chance * static_cast<double>(k.total));
    if (drawn >= k.total) drawn = k.total - 1;
    find_warp(row, k, drawn, s);
    if (warp_id() != s.winner) return;
    token = find_token(row, k, s);
  }
  if (lane_id() == 0 && (draw.temperature > 0 || warp_id() == 0)) tokens[blockIdx.x] = token;
}

}  // namespace

void sample(const float* logits, int64_t rows, int64_t cols, const Draw* draws, int32_t* tokens,
            base::ThreadPool&) {
  if (rows <= 0) return;
  launch({.grid = {static_cast<uint32_t>(rows)},
          .block = {kThreads},
          .shared_bytes = sizeof(SampleShared),
          .early = true},
         stream(), draw_tokens, logits, cols, draws, tokens);
}

}  // namespace aquatint::kernels::cuda
