// New keys and values into caches (kv_layout.h), the same bits as ref::store_kv, turned on the way where asked.
// Grids follow from the number of spans and of their rows alone; where rows go is read from the spans on the
// device.
//
// Limit: latency of a launch for generated tokens; at prompts the lanes' words, which are 64 bytes apart, are
// gathered to lines by the L2 cache.
#include <algorithm>

#include "kernels/cuda/angle.h"
#include "kernels/cuda/kv_codes.h"
#include "kernels/cuda/kv_head.h"
#include "kernels/cuda/ptx/dependent_launch.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/slots.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kRowWarps = 4;  // rows of a block
constexpr int kGroupThreads = 128;

struct NewRows {
  const float *k, *v;
  int64_t stride;
};

// One position of one head, a warp. Keys: a lane's codes are dimensions, so a thread has whole words.
__device__ inline void put_key(std::byte* block, const KvPlane& plane, KvFormat format, int64_t position,
                               const float* x, int dim, float scale) {
  const auto per_lane = static_cast<int>(plane.per_lane);
  for (int line = lane_id(); line < plane.key_lines; line += kWarp) {
    uint32_t word = 0;
    for (int i = 0; i < per_lane; ++i) {
      const int d = line * per_lane + i;
      if (d < dim) word |= kv_code(format, __fdiv_rn(x[d], scale)) << (per_lane == 1 ? 0 : 32 / per_lane * i);
    }
    *reinterpret_cast<uint32_t*>(block + key_strip(plane, position) + line * kKvLine +
                                 position % kKvStrip * 4) = word;
  }
}

// Values: a lane's codes are positions, of which this is one.
__device__ inline void put_value(std::byte* block, const KvPlane& plane, KvFormat format, int64_t position,
                                 const float* x, int dim, float scale) {
  const auto bytes = static_cast<int>(4 / plane.per_lane);
  for (int d = lane_id(); d < dim; d += kWarp) {
    const uint32_t code = kv_code(format, __fdiv_rn(x[d], scale));
    std::byte* at = block + value_lane(plane, position, d) + position % plane.per_lane * bytes;
    if (bytes == 4) *reinterpret_cast<uint32_t*>(at) = code;
    if (bytes == 2) *reinterpret_cast<uint16_t*>(at) = static_cast<uint16_t>(code);
    if (bytes == 1) *reinterpret_cast<uint8_t*>(at) = static_cast<uint8_t>(code);
  }
}

// What rope needs: rows of queries, then keys, as far apart as the new ones.
struct Turns {
  float* qk;
  const float* inv_freq;
  float factor;
};

// One head of one row, by a warp.
__device__ inline void turn_head(float* x, int half, int64_t position, const Turns& turns) {
  for (int i = lane_id(); i < half; i += kWarp)
    turn_pair(x + i, half, sine_cosine(__fmul_rn(static_cast<float>(position), turns.inv_freq[i])),
              turns.factor);
  __syncwarp();
}

// Grid: heads (of queries, where these turn,) of keys, of values; rows of a span in fours; spans.
template <bool turning>
__global__ void store_rows(const AttentionSpan* spans, AttentionShape shape, NewRows rows, Turns turns) {
  ptx::let_next_start();
  ptx::wait_for_previous();
  const AttentionSpan span = spans[blockIdx.z];
  const int64_t row = int64_t{blockIdx.y} * kRowWarps + warp_id();
  if (row >= span.rows) return;
  const int64_t row_at = (span.first_row + row) * rows.stride;
  const auto dim = static_cast<int>(shape.head_dim);
  int64_t index = blockIdx.x;
  if constexpr (turning) {
    if (index < shape.heads + shape.kv_heads)
      turn_head(turns.qk + row_at + index * dim, dim / 2, span.position + row, turns);
    if (index < shape.heads) return;
    index -= shape.heads;
  }
  const bool is_key = index < shape.kv_heads;
  const int64_t kv = is_key ? index : index - shape.kv_heads;
  const KvHead head = head_of(span, shape, kv);
  const float* x = (is_key ? rows.k : rows.v) + row_at + kv * dim;
  const bool ring = span.cache.format == KvFormat::int4;
  const KvFormat format = ring ? KvFormat::bf16 : span.cache.format;
  const KvPlane plane = ring ? head.ring : head.layout.codes;
  const auto [block, position] = ring ? KvHead::Place{head.rings, (span.position + row) % head.recent}
                                      : head.at(span.position + row);
  float scale = 1;
  if (has_scales(format)) {
    const float calibrated = is_key ? shape.key_scale : shape.value_scale;
    float largest = 0;
    for (int d = lane_id(); d < dim; d += kWarp) largest = fmaxf(largest, fabsf(x[d]));
    scale = calibrated > 0 ? calibrated : kv_scale_of(format, warp_max(largest));
    const int64_t scales = is_key ? head.layout.key_scales : head.layout.value_scales;
    if (lane_id() == 0) reinterpret_cast<float*>(block + scales)[position] = scale;
  }
  if (is_key)
    put_key(block, plane, format, position, x, dim, scale);
  else
    put_value(block, plane, format, position, x, dim, scale);
}

// A group of one head out of the rings: BF16 words [kKvGroup][stride], then the pairs of its runs.
struct GroupShared {
  uint32_t pairs[1024];  // of kKvGroup positions, or of head_dim dimensions
  uint16_t numbers[1];   // kKvGroup · stride
};

__host__ __device__ constexpr int64_t group_stride(int64_t head_dim) { return head_dim + 2; }

// In the order of std::minmax_element: the first of the smallest, the last of the largest.
__device__ inline uint32_t pair_of_run(const uint16_t* x, int count, int step) {
  float low = bf16_value(x[0]), high = low;
  for (int i = 1; i < count; ++i) {
    const float v = bf16_value(x[i * step]);
    if (v < low) low = v;
    if (!(v < high)) high = v;
  }
  return pair_word(low, high);
}

__device__ inline uint32_t join_codes(const uint16_t* x, int step, const uint32_t* pairs, int pair_step,
                                      int count) {
  uint32_t word = 0;
  for (int i = 0; i < count; ++i)
    word |= int4_code(bf16_value(x[i * step]), pair_of(pairs[i * pair_step])) << 4 * (i % 4 * 2 + i / 4);
  return word;
}

__device__ inline void encode_keys(const KvLayout& layout, const KvHead::Place& group, int dim,
                                   GroupShared& s) {
  const auto stride = static_cast<int>(group_stride(dim));
  for (int d = thread_in_block(); d < dim; d += block_threads()) {
    s.pairs[d] = pair_of_run(s.numbers + d, kKvGroup, stride);
    reinterpret_cast<uint32_t*>(group.block + key_pairs(layout, group.position))[d] = s.pairs[d];
  }
  __syncthreads();
  const auto lines = static_cast<int>(layout.codes.key_lines);
  for (int i = thread_in_block(); i < lines * kKvGroup; i += block_threads()) {
    const int p = i % kKvGroup, d = i / kKvGroup * 8;
    *reinterpret_cast<uint32_t*>(group.block + key_lane(layout.codes, group.position + p, d)) =
        join_codes(s.numbers + p * stride + d, 1, s.pairs + d, 1, dim - d < 8 ? dim - d : 8);
  }
}

__device__ inline void encode_values(const KvLayout& layout, const KvHead::Place& group, int dim,
                                     GroupShared& s) {
  const auto stride = static_cast<int>(group_stride(dim));
  for (int p = thread_in_block(); p < kKvGroup; p += block_threads()) {
    s.pairs[p] = pair_of_run(s.numbers + p * stride, dim, 1);
    reinterpret_cast<uint32_t*>(group.block + layout.value_scales)[group.position + p] = s.pairs[p];
  }
  __syncthreads();
  for (int i = thread_in_block(); i < dim * (kKvGroup / 8); i += block_threads()) {
    const int d = i % dim, p = i / dim * 8;
    *reinterpret_cast<uint32_t*>(group.block + value_lane(layout.codes, group.position + p, d)) =
        join_codes(s.numbers + p * stride + d, stride, s.pairs + p, 1, 8);
  }
}

// Groups of int4 that the spans' new rows made whole. Grid: heads of keys then of values, groups of a span,
// spans.
__global__ void __launch_bounds__(kGroupThreads)
    encode_groups(const AttentionSpan* spans, AttentionShape shape) {
  ptx::let_next_start();
  ptx::wait_for_previous();
  const AttentionSpan span = spans[blockIdx.z];
  const int64_t begin = (span.position / kKvGroup + blockIdx.y) * kKvGroup;
  if (begin + kKvGroup > span.position + span.rows) return;
  GroupShared& s = shared<GroupShared>();
  const bool is_key = blockIdx.x < shape.kv_heads;
  const KvHead head = head_of(span, shape, is_key ? blockIdx.x : blockIdx.x - shape.kv_heads);
  const auto dim = static_cast<int>(shape.head_dim), stride = static_cast<int>(group_stride(dim));
  const KvPlane& ring = head.ring;
  for (int i = thread_in_block(); i < kKvGroup * dim; i += block_threads()) {
    const int p = i / dim, d = i % dim;
    const int64_t slot = (begin + p) % head.recent;
    const int64_t lane = is_key ? key_lane(ring, slot, d) : value_lane(ring, slot, d);
    const int half = is_key ? d % 2 : static_cast<int>(slot % 2);
    s.numbers[p * stride + d] = *reinterpret_cast<const uint16_t*>(head.rings + lane + 2 * half);
  }
  __syncthreads();
  if (is_key)
    encode_keys(head.layout, head.at(begin), dim, s);
  else
    encode_values(head.layout, head.at(begin), dim, s);
}

// What the largest span makes of a grid.
struct StoreGrid {
  int64_t rows = 0;
  uint32_t spans;

  explicit StoreGrid(const Spans& all) : spans(static_cast<uint32_t>(all.list.size())) {
    for (const AttentionSpan& span : all.list) rows = std::max(rows, span.rows);
  }
  Extent of(int64_t heads, int64_t rows_of_block) const {
    return {static_cast<uint32_t>(heads), static_cast<uint32_t>(blocks_for(rows, rows_of_block)), spans};
  }
};

template <bool turning>
void store(const Spans& spans, const AttentionShape& shape, const NewRows& new_rows, const Turns& turns) {
  const StoreGrid grid(spans);
  if (grid.rows == 0) return;
  const int64_t heads = 2 * shape.kv_heads;
  launch({.grid = grid.of(heads + (turning ? shape.heads : 0), kRowWarps),
          .block = {kRowWarps * kWarp},
          .early = true},
         stream(), store_rows<turning>, spans.placed, shape, new_rows, turns);
  if (spans.list[0].cache.format != KvFormat::int4) return;
  const auto bytes =
      sizeof(GroupShared) + static_cast<size_t>(kKvGroup * group_stride(shape.head_dim)) * sizeof(uint16_t);
  launch({.grid = grid.of(heads, kKvGroup),
          .block = {kGroupThreads},
          .shared_bytes = static_cast<uint32_t>(bytes),
          .early = true},
         stream(), encode_groups, spans.placed, shape);
}

}  // namespace

void store_kv(const Spans& spans, const AttentionShape& shape, const float* k, const float* v, int64_t stride,
              base::ThreadPool&) {
  store<false>(spans, shape, {k, v, stride}, {});
}

void rope_store_kv(const Spans& spans, const AttentionShape& shape, const float* inv_freq,
                   float attention_factor, float* qkv, int64_t stride, base::ThreadPool&) {
  const float* k = qkv + shape.heads * shape.head_dim;
  store<true>(spans, shape, {k, k + shape.kv_heads * shape.head_dim, stride},
              {qkv, inv_freq, attention_factor});
}

}  // namespace aquatint::kernels::cuda
