// Attention of generated tokens. A block reads one chunk of one key head's positions for up to eight of its
// query heads, four warps in turns, each with its own copies in flight; what chunks leave is joined in order
// by a second kernel.
//
// Limit: memory. Two blocks an SM keep 36 (int4) to 128 KiB of the cache on its way; an H200 needs about 30.
// Products take a sixth of what the tensor cores can do in the time (BF16), unpacking codes of 8 and 4 bits
// about half and all of the instructions that can be issued.
#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/ptx/dependent_launch.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kTileHeads = 8;

struct DecodeArgs {
  const AttentionSpan* spans;
  AttentionShape shape;
  const float* q;
  int64_t q_stride;
  float* out;
  float* partials;       // [span][row][head][chunk][partial_stride]
  int64_t rows, chunks;  // most rows of a span, most chunks of a row
};

// Σ weight · v [dim], the largest score, Σ weight.
__host__ __device__ inline int64_t partial_stride(int64_t dim) { return (dim + 2 + 3) / 4 * 4; }

__device__ inline float* partial_of(const DecodeArgs& a, int64_t span, int64_t row, int64_t head) {
  return a.partials +
         ((span * a.rows + row) * a.shape.heads + head) * a.chunks * partial_stride(a.shape.head_dim);
}

// A row's chunks.
struct Chunks {
  int size, first, count, lowest, position;

  __device__ static Chunks of(const AttentionSpan& span, int64_t row, int64_t window) {
    Chunks c;
    c.position = static_cast<int>(span.position + row);
    c.size = static_cast<int>(decode_chunk(span.cache.format, c.position));
    c.lowest = static_cast<int>(first_visible(window, c.position));
    c.first = c.lowest / c.size;
    c.count = c.position / c.size + 1 - c.first;
    return c;
  }
};

template <KvFormat format, int slabs>
struct DecodePlan {
  static constexpr int kSlabs = slabs;
  // Squares of codes that are worked on together; int4's rings are read as BF16, a square at a time.
  static constexpr int kBlocks = format == KvFormat::int4 && slabs < 8 ? 2 : 1;
  static constexpr int kAhead = has_scales(format) ? 2 : 1;  // keys and values on their way
  static constexpr int kCodeBytes = KvStage<slabs, kBlocks>::template kBytes<format>;
  static constexpr int kRingBytes = KvStage<slabs, 1>::template kBytes<KvFormat::bf16>;
  static constexpr int kStageBytes =
      format == KvFormat::int4 && kRingBytes > kCodeBytes ? kRingBytes : kCodeBytes;
  static constexpr int kStagesBytes = 2 * kAhead * kStageBytes;
  static constexpr int kWarpBytes = kStagesBytes + Query<slabs>::kWarpBytes;
  static constexpr int kSumSlabs = sum_slabs(slabs), kShares = slabs / kSumSlabs;
  static constexpr int kWidth = kSquare * kSumSlabs;
  static constexpr int kJoinBytes = kWarps * kTileHeads * (kWidth + 2) * 4;
  static constexpr int kSharedBytes = kWarps * kWarpBytes > kJoinBytes ? kWarps* kWarpBytes : kJoinBytes;
  static constexpr int kBlocksAtOnce = slabs > 4                               ? 1
                                       : slabs > 2 || format == KvFormat::int4 ? 2
                                                                               : 3;  // of an SM
};

// What a block's warps share of the work.
struct DecodeTask {
  const float* q;  // of the tile's first head
  int heads, dim;  // of the tile
  float c;         // exponent_scale()
};

// Positions [begin, end) in one form, in turns with the other warps. Those below `begin` in the first square
// are not seen.
template <class Plan, KvFormat f, int blocks>
__device__ inline void attend_range(const DecodeTask& task, const KvSource& source, std::byte* memory,
                                    int begin, int end,
                                    WarpSums<TileRows::eight_split, Plan::kSumSlabs>& sums) {
  constexpr int slabs = Plan::kSlabs;
  using KeyStage = KvStage<slabs, blocks>;
  using ValueStage = KvStage<Plan::kSumSlabs, blocks>;
  constexpr int kStep = kSquare * blocks, kTurn = kStep * kWarps, kWait = 2 * Plan::kAhead - 1;
  int at = begin / kStep * kStep + kStep * ((warp_id() - begin / kStep % kWarps + kWarps) % kWarps);
  if (at >= end) return;
  Query<slabs> query(memory + Plan::kStagesBytes);
  load_query<f, TileRows::eight_split>(query, task.dim, [&](int) {
    const int row = lane_id() / 4;
    return row < task.heads ? task.q + row * task.dim : nullptr;
  });
  const auto there = [end](int from) { return end - from < kStep ? end - from : kStep; };
  const auto keys = [&](int from, int stage) {
    if (from < end)
      copy_keys<f>(KeyStage{memory + 2 * stage * Plan::kStageBytes}, source, from, there(from), task.dim,
                   lane_id(), kWarp);
    ptx::close_copies();
  };
  const auto values = [&](int from, int stage) {
    if (from < end)
      copy_values<f>(ValueStage{memory + (2 * stage + 1) * Plan::kStageBytes}, source, from, there(from),
                     lane_id(), kWarp);
    ptx::close_copies();
  };
  for (int stage = 0; stage < Plan::kAhead; ++stage) {
    keys(at + stage * kTurn, stage);
    values(at + stage * kTurn, stage);
  }
  for (int stage = 0; at < end; at += kTurn, stage = (stage + 1) % Plan::kAhead) {
    const KeyStage key_stage{memory + 2 * stage * Plan::kStageBytes};
    const ValueStage value_stage{memory + (2 * stage + 1) * Plan::kStageBytes};
    ptx::wait_copies<kWait>();
    __syncwarp();
    float s[blocks][4][4];
    score_stage<f, TileRows::eight_split>(key_stage, query, task.dim, s);
    __syncwarp();
    keys(at + Plan::kAhead * kTurn, stage);
    sums.template soften<true, blocks>(s, task.c, at, {begin}, {end - 1});
    ptx::wait_copies<kWait>();
    clear_behind<f>(value_stage, there(at), lane_id(), kWarp);
    __syncwarp();
    sums.template weigh<f, blocks>(value_stage.pieces() + lane_id(), value_stage.template words<f>(),
                                   there(at), s);
    __syncwarp();
    values(at + Plan::kAhead * kTurn, stage);
  }
  ptx::wait_copies<0>();
  __syncwarp();
}

// Per warp and head of the tile: Σ weight · v, the largest score, Σ weight.
template <int width>
struct WarpResults {
  float sums[kWarps][kTileHeads][width];
  float most[kWarps][kTileHeads], total[kWarps][kTileHeads];
};

template <int slabs, int width>
__device__ inline void put_results(const WarpSums<TileRows::eight_split, slabs>& sums,
                                   WarpResults<width>& r) {
  const int own = lane_id() / 4;
  sums.for_sums(0, [&](int d, float sum) { r.sums[warp_id()][own][d] = sum; });
  if (lane_id() % 4 == 0) {
    r.most[warp_id()][own] = sums.most[0];
    r.total[warp_id()][own] = sums.total[0];
  }
}

// In warp order; `to` gets a head's result.
template <int width, class To>
__device__ inline void join_warps(const WarpResults<width>& r, int heads, int dim, float c, To to) {
  for (int i = thread_in_block(); i < heads * width; i += block_threads()) {
    const int head = i / width, d = i % width;
    if (d >= dim) continue;
    float most = kNoScore, sum = 0, total = 0;
    for (int warp = 0; warp < kWarps; ++warp) most = fmaxf(most, r.most[warp][head]);
    for (int warp = 0; warp < kWarps; ++warp) {
      const float kept = ptx::exp2_approx((r.most[warp][head] - most) * c);
      sum = fmaf(kept, r.sums[warp][head][d], sum);
      total = fmaf(kept, r.total[warp][head], total);
    }
    to(head, d, sum, most, total);
  }
}

// Grid: chunks, (row, key head, tile of its query heads, share of the sums), spans.
template <KvFormat format, int slabs>
__global__ void __launch_bounds__(kWarps* kWarp, (DecodePlan<format, slabs>::kBlocksAtOnce))
    attend_chunks(DecodeArgs args) {
  ptx::let_next_start();
  ptx::wait_for_previous();
  using Plan = DecodePlan<format, slabs>;
  const AttentionShape& shape = args.shape;
  const AttentionSpan span = args.spans[blockIdx.z];
  const auto group = static_cast<int>(shape.heads / shape.kv_heads),
             tiles = (group + kTileHeads - 1) / kTileHeads;
  const int share = static_cast<int>(blockIdx.y) % Plan::kShares, first_line = share * 2 * Plan::kSumSlabs;
  const int task_index = static_cast<int>(blockIdx.y) / Plan::kShares, tile = task_index % tiles;
  const int64_t kv = task_index / tiles % shape.kv_heads, row = task_index / tiles / shape.kv_heads;
  if (row >= span.rows) return;
  const Chunks chunks = Chunks::of(span, row, shape.window);
  if (static_cast<int>(blockIdx.x) >= chunks.count) return;
  const int chunk = (chunks.first + static_cast<int>(blockIdx.x)) * chunks.size;
  const int begin = chunks.lowest > chunk ? chunks.lowest : chunk;
  const int end = chunk + chunks.size < chunks.position + 1 ? chunk + chunks.size : chunks.position + 1;

  const KvHead head = head_of(span, shape, kv);
  const int64_t first_head = kv * group + tile * kTileHeads;
  const int heads = group - tile * kTileHeads < kTileHeads ? group - tile * kTileHeads : kTileHeads;
  const auto dim = static_cast<int>(shape.head_dim);
  const DecodeTask task{args.q + (span.first_row + row) * args.q_stride + first_head * dim, heads, dim,
                        exponent_scale(shape)};
  std::byte* memory = &shared<std::byte>();
  std::byte* own_memory = memory + warp_id() * Plan::kWarpBytes;
  WarpSums<TileRows::eight_split, Plan::kSumSlabs> sums;
  sums.clear();
  if constexpr (format == KvFormat::int4) {
    const auto exact = static_cast<int>(exact_from(chunks.position));
    const int near = begin > exact ? begin : exact;
    if (begin < exact)
      attend_range<Plan, format, Plan::kBlocks>(task, KvSource::of(head, false, first_line), own_memory,
                                                begin, end < exact ? end : exact, sums);
    if (near < end)
      attend_range<Plan, KvFormat::bf16, 1>(task, KvSource::of(head, true, first_line), own_memory, near, end,
                                            sums);
  } else {
    attend_range<Plan, format, Plan::kBlocks>(task, KvSource::of(head, false, first_line), own_memory, begin,
                                              end, sums);
  }
  sums.join_parts();
  __syncthreads();
  auto& results = *reinterpret_cast<WarpResults<Plan::kWidth>*>(memory);
  put_results(sums, results);
  __syncthreads();
  const int64_t step = partial_stride(dim) * args.chunks;
  float* partials = partial_of(args, blockIdx.z, row, first_head) + blockIdx.x * partial_stride(dim);
  join_warps(results, heads, dim - share * Plan::kWidth, task.c,
             [&](int h, int d, float sum, float most, float total) {
               float* partial = partials + h * step;
               partial[share * Plan::kWidth + d] = sum;
               if (share == 0 && d == 0) {
                 partial[dim] = most;
                 partial[dim + 1] = total;
               }
             });
}

// Chunks in order. Grid: (row, query head), spans.
__global__ void join_chunks(DecodeArgs args) {
  ptx::let_next_start();
  ptx::wait_for_previous();
  const AttentionSpan span = args.spans[blockIdx.y];
  const int64_t head = blockIdx.x % args.shape.heads, row = blockIdx.x / args.shape.heads;
  if (row >= span.rows) return;
  const Chunks chunks = Chunks::of(span, row, args.shape.window);
  const int64_t dim = args.shape.head_dim, stride = partial_stride(dim);
  const float* partials = partial_of(args, blockIdx.y, row, head);
  const float c = exponent_scale(args.shape);
  float most = kNoScore;
  for (int64_t i = 0; i < chunks.count; ++i) most = fmaxf(most, partials[i * stride + dim]);
  float* out = args.out + ((span.first_row + row) * args.shape.heads + head) * dim;
  for (int64_t d = thread_in_block(); d < dim; d += block_threads()) {
    float sum = 0, total = 0;
    for (int64_t i = 0; i < chunks.count; ++i) {
      const float kept = ptx::exp2_approx((partials[i * stride + dim] - most) * c);
      sum = fmaf(kept, partials[i * stride + d], sum);
      total = fmaf(kept, partials[i * stride + dim + 1], total);
    }
    out[d] = sum / total;
  }
}

template <KvFormat format, int slabs>
void start(Launch l, const DecodeArgs& args) {
  l.shared_bytes = DecodePlan<format, slabs>::kSharedBytes;
  l.grid.y *= DecodePlan<format, slabs>::kShares;
  launch(l, stream(), attend_chunks<format, slabs>, args);
}

}  // namespace

void attention_decode(const AttentionCall& call) {
  const AttentionShape& shape = call.shape;
  const int64_t tiles = blocks_for(shape.heads / shape.kv_heads, kTileHeads);
  int64_t rows = 0, chunks = 0;
  for (const AttentionSpan& span : call.spans.list) {
    rows = std::max(rows, span.rows);
    for (int64_t row = 0; row < span.rows; ++row) {
      const int64_t position = span.position + row, size = decode_chunk(call.format(), position);
      chunks = std::max(chunks, position / size + 1 - first_visible(shape.window, position) / size);
    }
  }
  const auto spans = static_cast<int64_t>(call.spans.list.size());
  const int64_t floats = spans * rows * shape.heads * chunks * partial_stride(shape.head_dim);
  auto* partials =
      static_cast<float*>(workspace(Purpose::attention, static_cast<size_t>(floats) * sizeof(float)));
  const DecodeArgs args{call.spans.placed, shape, call.q, call.q_stride, call.out, partials, rows, chunks};
  const Launch l{.grid = {static_cast<uint32_t>(chunks), static_cast<uint32_t>(rows * shape.kv_heads * tiles),
                          static_cast<uint32_t>(spans)},
                 .block = {kWarps * kWarp},
                 .early = true};
  with_form(call.format(), shape.head_dim,
            [&]<KvFormat format, int slabs>() { start<format, slabs>(l, args); });
  launch({.grid = {static_cast<uint32_t>(rows * shape.heads), static_cast<uint32_t>(spans)},
          .block = {threads_for(shape.head_dim, 128)},
          .early = true},
         stream(), join_chunks, args);
}

}  // namespace aquatint::kernels::cuda
