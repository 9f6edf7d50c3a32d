// Attention of prompts: 64 rows (tokens times the query heads of one key head, token-major) against units of
// positions that begin at multiples of their size, keys and values through shared memory in the order of
// mma's operands, running maxima (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135). A
// row's arithmetic depends on its position only: units that a row does not see leave its sums as they are.
//
// Limit: the tensor cores by mma.sync, at best 60 % of their rate; weights go through in two parts, so half
// of the products are done twice: 40 % of the rate counted by useful products.
#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_tiles.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarp;
constexpr int kWarpRows = 16, kTileRows = kWarps * kWarpRows;
constexpr TileRows kRows = TileRows::sixteen;
template <int slabs>
using TileQuery = Query<slabs, (slabs > 2)>;  // sums of 64 dimensions leave no room for more in registers

struct PrefillArgs {
  const AttentionSpan* spans;
  AttentionShape shape;
  const float* q;
  int64_t q_stride;
  float* out;
};

template <KvFormat format, int slabs>
struct PrefillPlan {
  static constexpr int kBlocks = slabs > 4 ? 1 : 2;
  static constexpr int kCodeBytes = KvStage<slabs, kBlocks>::template kBytes<format>;
  static constexpr int kRingBytes = KvStage<slabs, kBlocks>::template kBytes<KvFormat::bf16>;
  static constexpr int kStageBytes = format == KvFormat::int4 ? kRingBytes : kCodeBytes;
  static constexpr int kSharedBytes = 4 * kStageBytes + kWarps * TileQuery<slabs>::kWarpBytes;
};

// Positions from the first to the last that one row, or some rows, see in one form.
struct Seen {
  int64_t lowest, highest;
};

// Rows of a block: tile row r is query head r % group of the token r / group.
struct Tile {
  const AttentionSpan& span;
  const AttentionShape& shape;
  int64_t first, rows;  // of the tile's; of the span's, heads and all
  int group;

  __device__ int64_t position(int64_t row) const { return span.position + row / group; }
  __device__ int64_t last() const { return first + kTileRows < rows ? first + kTileRows - 1 : rows - 1; }

  template <KvFormat format, KvFormat f>
  __device__ Seen seen(int64_t row) const {
    const int64_t p = position(row);
    Seen s{first_visible(shape.window, p), p};
    if constexpr (format == KvFormat::int4) {
      const int64_t exact = exact_from(p);
      if (f == KvFormat::int4 && s.highest >= exact) s.highest = exact - 1;
      if (f != KvFormat::int4 && s.lowest < exact) s.lowest = exact;
    }
    return s;
  }
};

struct RowQueries {
  const float* q[2];  // null behind the last row
};

// All that the tile's rows see in one form.
template <KvFormat format, KvFormat f, int slabs>
__device__ inline void attend_form(const Tile& tile, const KvHead& head, const RowQueries& rows,
                                   std::byte* memory, WarpSums<kRows, slabs>& sums) {
  using Plan = PrefillPlan<format, slabs>;
  constexpr int kBlocks = Plan::kBlocks, kStep = kSquare * kBlocks;
  using Stage = KvStage<slabs, kBlocks>;
  const auto dim = static_cast<int>(tile.shape.head_dim);
  int64_t at = tile.seen<format, f>(tile.first).lowest / kStep * kStep;
  const int64_t end = tile.seen<format, f>(tile.last()).highest + 1;
  if (at >= end) return;

  // Of the warp's rows, and of this thread's.
  const int64_t warp_first = tile.first + warp_id() * kWarpRows;
  const int64_t warp_last =
      warp_first + kWarpRows - 1 < tile.last() ? warp_first + kWarpRows - 1 : tile.last();
  const bool idle = warp_first > tile.last();
  const Seen some{tile.seen<format, f>(idle ? tile.last() : warp_first).lowest,
                  tile.seen<format, f>(warp_last).highest};
  const Seen all{tile.seen<format, f>(warp_last).lowest,
                 tile.seen<format, f>(idle ? tile.last() : warp_first).highest};
  int64_t lowest[2], highest[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t row = warp_first + lane_id() / 4 + 8 * half;
    const Seen own = tile.seen<format, f>(row < tile.last() ? row : tile.last());
    lowest[half] = own.lowest;
    highest[half] = own.highest;
  }
  TileQuery<slabs> query(memory + 4 * Plan::kStageBytes + warp_id() * TileQuery<slabs>::kWarpBytes);
  load_query<f, kRows>(query, dim, [&](int half) { return rows.q[half]; });

  const KvSource source = KvSource::of(head, f != format);
  const auto there = [end](int64_t from) {
    return static_cast<int>(end - from < kStep ? end - from : kStep);
  };
  const auto keys = [&](int64_t from, int stage) {
    if (from < end)
      copy_keys<f>(Stage{memory + 2 * stage * Plan::kStageBytes}, source, from, there(from), dim,
                   thread_in_block(), kThreads);
    ptx::close_copies();
  };
  const auto values = [&](int64_t from, int stage) {
    if (from < end)
      copy_values<f>(Stage{memory + (2 * stage + 1) * Plan::kStageBytes}, source, from, there(from),
                     thread_in_block(), kThreads);
    ptx::close_copies();
  };
  __syncthreads();  // the stages' last readers are through
  keys(at, 0);
  values(at, 0);
  for (int stage = 0; at < end; at += kStep, stage ^= 1) {
    const Stage key_stage{memory + 2 * stage * Plan::kStageBytes};
    const Stage value_stage{memory + (2 * stage + 1) * Plan::kStageBytes};
    const bool useful = !idle && some.highest >= at && some.lowest < at + kStep;
    float s[kBlocks][4][4];
    ptx::wait_copies<1>();
    __syncthreads();
    keys(at + kStep, stage ^ 1);
    if (useful) {
      score_stage<f, kRows>(key_stage, query, dim, s);
      if (all.lowest <= at && all.highest >= at + kStep - 1)
        sums.template soften<false, kBlocks>(s, exponent_scale(tile.shape), at, lowest, highest);
      else
        sums.template soften<true, kBlocks>(s, exponent_scale(tile.shape), at, lowest, highest);
    }
    ptx::wait_copies<1>();
    clear_behind<f>(value_stage, there(at), thread_in_block(), kThreads);
    __syncthreads();
    values(at + kStep, stage ^ 1);
    if (useful)
      sums.template weigh<f, kBlocks>(value_stage.pieces() + lane_id(), value_stage.template words<f>(),
                                      there(at), s);
  }
  ptx::wait_copies<0>();
}

// Grid: key heads, tiles, spans; tiles with most positions first.
template <KvFormat format, int slabs>
__global__ void __launch_bounds__(kThreads, (slabs > 4 ? 1 : 2)) attend_tiles(PrefillArgs args) {
  const AttentionShape& shape = args.shape;
  const AttentionSpan span = args.spans[blockIdx.z];
  const auto group = static_cast<int>(shape.heads / shape.kv_heads);
  const int64_t rows = span.rows * group, tiles = (rows + kTileRows - 1) / kTileRows;
  if (blockIdx.y >= tiles) return;
  const Tile tile{span, shape, (tiles - 1 - blockIdx.y) * kTileRows, rows, group};
  const KvHead head = head_of(span, shape, blockIdx.x);
  const int64_t first_head = int64_t{blockIdx.x} * group;
  const auto head_of_row = [&](int64_t row, int64_t stride) {
    return (span.first_row + row / group) * stride + (first_head + row % group) * shape.head_dim;
  };
  RowQueries queries;
  int64_t own[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    own[half] = tile.first + warp_id() * kWarpRows + lane_id() / 4 + 8 * half;
    queries.q[half] = own[half] < rows ? args.q + head_of_row(own[half], args.q_stride) : nullptr;
  }
  WarpSums<kRows, slabs> sums;
  sums.clear();
  std::byte* memory = &shared<std::byte>();
  attend_form<format, format>(tile, head, queries, memory, sums);
  if constexpr (format == KvFormat::int4)
    attend_form<format, KvFormat::bf16>(tile, head, queries, memory, sums);
  sums.join_parts();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float* out = args.out + head_of_row(own[half], shape.heads * shape.head_dim);
    sums.for_sums(half, [&](int d, float sum) {
      if (own[half] < rows && d < shape.head_dim) out[d] = sum / sums.total[half];
    });
  }
}

template <KvFormat format, int slabs>
void start(const Launch& l, const PrefillArgs& args) {
  Launch with_shared = l;
  with_shared.shared_bytes = PrefillPlan<format, slabs>::kSharedBytes;
  launch(with_shared, stream(), attend_tiles<format, slabs>, args);
}

template <KvFormat format>
void start(const Launch& l, const PrefillArgs& args) {
  const int64_t dim = args.shape.head_dim;
  if (dim <= 64) return start<format, 2>(l, args);
  if (dim <= 128) return start<format, 4>(l, args);
  start<format, 8>(l, args);
}

}  // namespace

void attention_prefill(const AttentionCall& call) {
  const AttentionShape& shape = call.shape;
  int64_t rows = 0;
  for (const AttentionSpan& span : call.spans.list) rows = std::max(rows, span.rows);
  const int64_t tiles = blocks_for(rows * (shape.heads / shape.kv_heads), kTileRows);
  const PrefillArgs args{call.spans.placed, shape, call.q, call.q_stride, call.out};
  const Launch l{.grid = {static_cast<uint32_t>(shape.kv_heads), static_cast<uint32_t>(tiles),
                          static_cast<uint32_t>(call.spans.list.size())},
                 .block = {kThreads}};
  switch (call.format()) {
    case KvFormat::bf16:
      start<KvFormat::bf16>(l, args);
      break;
    case KvFormat::fp8_e4m3:
      start<KvFormat::fp8_e4m3>(l, args);
      break;
    case KvFormat::int8:
      start<KvFormat::int8>(l, args);
      break;
    case KvFormat::int4:
      start<KvFormat::int4>(l, args);
      break;
    case KvFormat::fp32:
      attention_plain(call);
  }
}

}  // namespace aquatint::kernels::cuda
