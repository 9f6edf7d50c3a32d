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
  static constexpr int kSumSlabs = format == KvFormat::int4 && slabs > 4 ? slabs / 4 : sum_slabs(slabs);
  static constexpr int kShares = slabs / kSumSlabs;  // of the sums, a block's each
  static constexpr int kBlocks = slabs > (format == KvFormat::int4 ? 2 : 4) ? 1 : 2;
  static constexpr int kCodeBytes = KvStage<slabs, kBlocks>::template kBytes<format>;
  static constexpr int kRingBytes = KvStage<slabs, kBlocks>::template kBytes<KvFormat::bf16>;
  static constexpr int kStageBytes = format == KvFormat::int4 ? kRingBytes : kCodeBytes;
  static constexpr int kSharedBytes = 4 * kStageBytes + kWarps * TileQuery<slabs>::kWarpBytes;
};

// Positions from the first to the last that one row, or some rows, see in one form.
struct Seen {
  int lowest, highest;
};

// Rows of a block: tile row r is query head r % group of the token r / group.
struct Tile {
  const AttentionSpan& span;
  const AttentionShape& shape;
  int first, rows;  // of the tile's; of the span's, heads and all
  int group;

  __device__ int position(int row) const { return static_cast<int>(span.position) + row / group; }
  __device__ int last() const { return first + kTileRows < rows ? first + kTileRows - 1 : rows - 1; }

  template <KvFormat format, KvFormat f>
  __device__ Seen seen(int row) const {
    const int p = position(row);
    Seen s{static_cast<int>(first_visible(shape.window, p)), p};
    if constexpr (format == KvFormat::int4) {
      const auto exact = static_cast<int>(exact_from(p));
      if (f == KvFormat::int4 && s.highest >= exact) s.highest = exact - 1;
      if (f != KvFormat::int4 && s.lowest < exact) s.lowest = exact;
    }
    return s;
  }
};

// What a warp's 16 rows see.
struct WarpSight {
  bool idle;                  // behind the tile's last row
  Seen some, all;             // by any of them; by all
  int lowest[2], highest[2];  // by this thread's two
};

template <KvFormat format, KvFormat f>
__device__ inline WarpSight sight_of_warp(const Tile& tile) {
  const int first = tile.first + warp_id() * kWarpRows;
  const int last = first + kWarpRows - 1 < tile.last() ? first + kWarpRows - 1 : tile.last();
  WarpSight w{};
  w.idle = first > tile.last();
  const Seen of_first = tile.seen<format, f>(w.idle ? tile.last() : first),
             of_last = tile.seen<format, f>(last);
  w.some = {of_first.lowest, of_last.highest};
  w.all = {of_last.lowest, of_first.highest};
  AQ_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = first + lane_id() / 4 + 8 * half;
    const Seen own = tile.seen<format, f>(row < tile.last() ? row : tile.last());
    w.lowest[half] = own.lowest;
    w.highest[half] = own.highest;
  }
  return w;
}

struct RowQueries {
  const float* q[2];  // null behind the last row
};

// All that the tile's rows see in one form.
template <KvFormat format, KvFormat f, int slabs>
__device__ inline void attend_form(const Tile& tile, const KvHead& head, const RowQueries& rows,
                                   std::byte* memory, int first_line,
                                   WarpSums<kRows, PrefillPlan<format, slabs>::kSumSlabs>& sums) {
  using Plan = PrefillPlan<format, slabs>;
  constexpr int kBlocks = Plan::kBlocks, kStep = kSquare * kBlocks;
  using KeyStage = KvStage<slabs, kBlocks>;
  using ValueStage = KvStage<Plan::kSumSlabs, kBlocks>;
  const auto dim = static_cast<int>(tile.shape.head_dim);
  int at = tile.seen<format, f>(tile.first).lowest / kStep * kStep;
  const int end = tile.seen<format, f>(tile.last()).highest + 1;
  if (at >= end) return;
  const WarpSight w = sight_of_warp<format, f>(tile);
  TileQuery<slabs> query(memory + 4 * Plan::kStageBytes + warp_id() * TileQuery<slabs>::kWarpBytes);
  load_query<f, kRows>(query, dim, [&](int half) { return rows.q[half]; });

  const KvSource source = KvSource::of(head, f != format, first_line);
  const auto there = [end](int from) { return end - from < kStep ? end - from : kStep; };
  const auto keys = [&](int from, int stage) {
    if (from < end)
      copy_keys<f>(KeyStage{memory + 2 * stage * Plan::kStageBytes}, source, from, there(from), dim,
                   thread_in_block(), kThreads);
    ptx::close_copies();
  };
  const auto values = [&](int from, int stage) {
    if (from < end)
      copy_values<f>(ValueStage{memory + (2 * stage + 1) * Plan::kStageBytes}, source, from, there(from),
                     thread_in_block(), kThreads);
    ptx::close_copies();
  };
  __syncthreads();  // the stages' last readers are through
  keys(at, 0);
  values(at, 0);
  for (int stage = 0; at < end; at += kStep, stage ^= 1) {
    const KeyStage key_stage{memory + 2 * stage * Plan::kStageBytes};
    const ValueStage value_stage{memory + (2 * stage + 1) * Plan::kStageBytes};
    const bool useful = !w.idle && w.some.highest >= at && w.some.lowest < at + kStep;
    float s[kBlocks][4][4];
    ptx::wait_copies<1>();
    __syncthreads();
    keys(at + kStep, stage ^ 1);
    if (useful) {
      score_stage<f, kRows>(key_stage, query, dim, s);
      if (w.all.lowest <= at && w.all.highest >= at + kStep - 1)
        sums.template soften<false, kBlocks>(s, exponent_scale(tile.shape), at, w.lowest, w.highest);
      else
        sums.template soften<true, kBlocks>(s, exponent_scale(tile.shape), at, w.lowest, w.highest);
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

// Grid: (key head, share of the sums), tiles, spans; tiles with most positions first.
template <KvFormat format, int slabs>
__global__ void __launch_bounds__(kThreads, (slabs > 4 ? 1 : 2)) attend_tiles(PrefillArgs args) {
  const AttentionShape& shape = args.shape;
  const AttentionSpan span = args.spans[blockIdx.z];
  const auto group = static_cast<int>(shape.heads / shape.kv_heads);
  const int rows = static_cast<int>(span.rows) * group, tiles = (rows + kTileRows - 1) / kTileRows;
  if (static_cast<int>(blockIdx.y) >= tiles) return;
  const Tile tile{span, shape, (tiles - 1 - static_cast<int>(blockIdx.y)) * kTileRows, rows, group};
  using Plan = PrefillPlan<format, slabs>;
  const int share = static_cast<int>(blockIdx.x) % Plan::kShares, first_line = share * 2 * Plan::kSumSlabs;
  const int64_t kv = static_cast<int>(blockIdx.x) / Plan::kShares, first_head = kv * group;
  const KvHead head = head_of(span, shape, kv);
  const auto head_of_row = [&](int row, int64_t stride) {
    return (span.first_row + row / group) * stride + (first_head + row % group) * shape.head_dim;
  };
  RowQueries queries;
  int own[2];
  AQ_UNROLL
  for (int i = 0; i < 2; ++i) {
    own[i] = tile.first + warp_id() * kWarpRows + lane_id() / 4 + 8 * i;
    queries.q[i] = own[i] < rows ? args.q + head_of_row(own[i], args.q_stride) : nullptr;
  }
  WarpSums<kRows, Plan::kSumSlabs> sums;
  sums.clear();
  std::byte* memory = &shared<std::byte>();
  attend_form<format, format, slabs>(tile, head, queries, memory, first_line, sums);
  if constexpr (format == KvFormat::int4)
    attend_form<format, KvFormat::bf16, slabs>(tile, head, queries, memory, first_line, sums);
  sums.join_parts();
  AQ_UNROLL
  for (int i = 0; i < 2; ++i) {
    const int first = share * kSquare * Plan::kSumSlabs, dims = static_cast<int>(shape.head_dim) - first;
    float* out = args.out + head_of_row(own[i], shape.heads * shape.head_dim) + first;
    sums.for_sums(i, [&](int d, float sum) {
      if (own[i] < rows && d < dims) out[d] = sum / sums.total[i];
    });
  }
}

template <KvFormat format, int slabs>
void start(Launch l, const PrefillArgs& args) {
  l.shared_bytes = PrefillPlan<format, slabs>::kSharedBytes;
  l.grid.x *= PrefillPlan<format, slabs>::kShares;
  launch(l, stream(), attend_tiles<format, slabs>, args);
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
  with_form(call.format(), shape.head_dim,
            [&]<KvFormat format, int slabs>() { start<format, slabs>(l, args); });
}

}  // namespace aquatint::kernels::cuda
