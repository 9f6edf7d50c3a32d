// Attention in FP32 throughout, for caches of FP32, Precision::fp32 and heads wider than the others' tiles: a
// block per query head of a token, one position a thread for scores, one dimension a thread for sums. Limit:
// the latency of its loads.
#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/kv_codes.h"
#include "kernels/cuda/kv_head.h"
#include "kernels/cuda/reduce.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kPlainThreads = 128;  // and positions at a time

struct PlainArgs {
  const AttentionSpan* spans;
  AttentionShape shape;
  bool round_query;
  const float* q;
  int64_t q_stride;
  float* out;
};

struct PlainShared {
  float of_warps[kMostWarps], weights[kPlainThreads];
  float query[1];  // head_dim, then as many sums
};

// One code of a cache, as a number.
struct Reader {
  const KvHead& head;
  int64_t exact;  // int4: positions below are codes

  __device__ float key(int64_t p, int64_t d) const {
    const KvLayout& l = head.layout;
    if (l.format == KvFormat::int4 && p >= exact)
      return number(head.ring, head.rings + key_lane(head.ring, p % head.recent, d), d, nullptr);
    const auto [block, at] = head.at(p);
    const std::byte* lane = block + key_lane(l.codes, at, d);
    if (l.format == KvFormat::int4) return in_pair(lane, d, block + key_pairs(l, at) + 4 * d);
    return number(l.codes, lane, d, block + l.key_scales + 4 * at);
  }
  __device__ float value(int64_t p, int64_t d) const {
    const KvLayout& l = head.layout;
    if (l.format == KvFormat::int4 && p >= exact) {
      const int64_t slot = p % head.recent;
      return number(head.ring, head.rings + value_lane(head.ring, slot, d), slot, nullptr);
    }
    const auto [block, at] = head.at(p);
    const std::byte *lane = block + value_lane(l.codes, at, d), *scale = block + l.value_scales + 4 * at;
    return l.format == KvFormat::int4 ? in_pair(lane, at, scale) : number(l.codes, lane, at, scale);
  }

 private:
  template <class T>
  __device__ static T at(const std::byte* where) {
    return *reinterpret_cast<const T*>(where);
  }
  __device__ float number(const KvPlane& plane, const std::byte* lane, int64_t index,
                          const std::byte* scale) const {
    const auto per_lane = static_cast<int>(plane.per_lane);
    const KvFormat form = per_lane == 2 ? KvFormat::bf16 : head.layout.format;
    const float value =
        kv_value(form, kv_code_of(at<uint32_t>(lane), per_lane, static_cast<int>(index % per_lane)));
    return has_scales(form) ? value * at<float>(scale) : value;
  }
  __device__ static float in_pair(const std::byte* lane, int64_t index, const std::byte* pair_at) {
    const Pair pair = pair_of(at<uint32_t>(pair_at));
    const uint32_t code = kv_code_of(at<uint32_t>(lane), 8, static_cast<int>(index % 8));
    return fmaf(static_cast<float>(code), pair.scale, pair.minimum);
  }
};

// Grid: (row, query head), spans.
__global__ void __launch_bounds__(kPlainThreads) attend_plainly(PlainArgs args) {
  PlainShared& s = shared<PlainShared>();
  const AttentionShape& shape = args.shape;
  const AttentionSpan span = args.spans[blockIdx.y];
  const int64_t query_head = blockIdx.x % shape.heads, row = blockIdx.x / shape.heads, dim = shape.head_dim;
  if (row >= span.rows) return;
  const int64_t position = span.position + row, first = first_visible(shape.window, position);
  const KvHead head = head_of(span, shape, query_head / (shape.heads / shape.kv_heads));
  const Reader reader{head, exact_from(position)};
  const float* q = args.q + (span.first_row + row) * args.q_stride + query_head * dim;
  float* sums = s.query + dim;
  for (int64_t d = thread_in_block(); d < dim; d += kPlainThreads) {
    s.query[d] = args.round_query ? rounded_to_bf16(q[d]) : q[d];
    sums[d] = 0;
  }
  __syncthreads();
  float most = -3.402823466e38f, total = 0;
  for (int64_t begin = first / kPlainThreads * kPlainThreads; begin <= position; begin += kPlainThreads) {
    const int64_t p = begin + thread_in_block();
    const bool seen = p >= first && p <= position;
    float score = -3.402823466e38f;
    if (seen) {
      float dot = 0;
      for (int64_t d = 0; d < dim; ++d) dot = fmaf(s.query[d], reader.key(p, d), dot);
      score = dot * shape.scale;
    }
    __syncthreads();  // weights and of_warps of the last round were read
    const float of_warp = warp_max(score);
    if (lane_id() == 0) s.of_warps[warp_id()] = of_warp;
    __syncthreads();
    float now = most;
    for (int warp = 0; warp < kPlainThreads / kWarp; ++warp) now = fmaxf(now, s.of_warps[warp]);
    s.weights[thread_in_block()] = seen ? expf(score - now) : 0.0f;
    __syncthreads();
    const float kept = expf(most - now);
    const int64_t from = first > begin ? first - begin : 0;
    const int64_t to = position + 1 - begin < kPlainThreads ? position + 1 - begin : kPlainThreads;
    float sum = 0;
    for (int64_t i = from; i < to; ++i) sum += s.weights[i];
    total = fmaf(total, kept, sum);
    for (int64_t d = thread_in_block(); d < dim; d += kPlainThreads) {
      float x = sums[d] * kept;
      for (int64_t i = from; i < to; ++i) x = fmaf(s.weights[i], reader.value(begin + i, d), x);
      sums[d] = x;
    }
    most = now;
  }
  float* out = args.out + ((span.first_row + row) * shape.heads + query_head) * dim;
  for (int64_t d = thread_in_block(); d < dim; d += kPlainThreads) out[d] = sums[d] / total;
}

}  // namespace

void attention_plain(const AttentionCall& call) {
  int64_t rows = 0;
  for (const AttentionSpan& span : call.spans.list) rows = std::max(rows, span.rows);
  const auto bytes = sizeof(PlainShared) + 2 * static_cast<size_t>(call.shape.head_dim) * sizeof(float);
  launch({.grid = {static_cast<uint32_t>(rows * call.shape.heads),
                   static_cast<uint32_t>(call.spans.list.size())},
          .block = {kPlainThreads},
          .shared_bytes = static_cast<uint32_t>(bytes)},
         stream(), attend_plainly,
         PlainArgs{call.spans.placed, call.shape, call.precision != Precision::fp32, call.q, call.q_stride,
                   call.out});
}

}  // namespace aquatint::kernels::cuda
