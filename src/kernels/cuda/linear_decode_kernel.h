// Eight warps of a block stream the records of 64 (or 128) rows; each warp has a ring of records in shared
// memory, filled by bulk copies, and waits for nobody else until its share of the chunk is summed. Codes
// become BF16 in registers, exactly but for tables; mma sums in FP32; scales meet the sums of a unit in FP32.
//
// More than 32 tokens go in passes of 32 over each item. A warp's records of an item stay in its ring until
// the last pass, so that neither device memory nor L2 is asked for them again.
//
// Limits, predicted, nothing is measured. In flight on an SM: stages × 8 warps × a record (2 to 8 KB) in each
// of two blocks, 64 KB and more, where Little's law asks for about 25 KB (4.8 TB/s, 700 ns, 132 SMs). Device
// memory gives each weight's codes once (2, 1 or 1/2 bytes, 4.8 TB/s), L2 them, the item's inputs (2 bytes a
// token and column, for 64 rows or 128) and sums of chunks: codes + tokens · (1/32 + 8 / columns of a chunk)
// bytes a weight at about 5.5 TB/s. That is 85 % of what device memory allows up to 16, 8 and 4 tokens for
// 16, 8 and 4 bits; 70, 51 and 35 % at 32, 51, 33 and 21 % at 64. Products, at 60 % of 989 TFLOP/s, take less
// time than that for any number of tokens. Sharing inputs among more rows is what would help.
#pragma once
#include <algorithm>

#include "kernels/cuda/linear_codes.h"
#include "kernels/cuda/linear_decode.h"
#include "kernels/cuda/ptx/bulk_copy.h"
#include "kernels/cuda/ptx/dependent_launch.h"
#include "kernels/cuda/ptx/warp_mma.h"
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda::decode {

constexpr int kThreads = kDecodeWarps * kWarp;

// Shared memory: this, then LookUp (book4), the sums of the warps, the rings.
struct DecodeShared {
  ptx::Barrier full[kDecodeWarps][kMostStages];
  uint32_t last;
  uint32_t pad[15];
};

// Numbers between the sums of two tokens, so that lanes write to banks of their own.
template <int kBlocks>
constexpr int kTokenStride = kBlockRows* kBlocks + 4;
template <int kTiles, int kBlocks>
constexpr int kWarpSums = kTiles * 8 * kTokenStride<kBlocks>;

// ---- inputs

// Tokens of the launch that go through an item together.
struct Pass {
  int first, tokens;
};
template <int kTiles>
__device__ inline Pass pass_of(const DecodeJob& job, int pass) {
  if constexpr (kTiles < 4) return {0, job.tokens};
  const int left = job.tokens - pass * kDecodeTokens;
  return {pass * kDecodeTokens, left < kDecodeTokens ? left : kDecodeTokens};
}

// Of a step of 64 columns: the right operands of four tiles, for each tile of eight tokens.
template <int kTiles>
struct StepInputs {
  uint32_t b[kTiles][kDepthTiles][2];
};

template <int kTiles>
__device__ inline void load_inputs(const DecodeJob& job, const Pass& pass, int step, StepInputs<kTiles>& x) {
  const int lane = thread_in_block() % kWarp;
  AQ_UNROLL
  for (int n = 0; n < kTiles; ++n) {
    const int token = n * 8 + lane / 4;
    uint4 v[2] = {};
    if (token < pass.tokens) {
      const int64_t at = static_cast<int64_t>(step) * job.in.tokens + pass.first + token;
      const uint4* from = reinterpret_cast<const uint4*>(job.in.values + at * kBlockColumns + lane % 4 * 16);
      v[0] = from[0];
      v[1] = from[1];
    }
    AQ_UNROLL
    for (int i = 0; i < kDepthTiles; ++i) {
      x.b[n][i][0] = component(v[i / 2], i % 2 * 2);
      x.b[n][i][1] = component(v[i / 2], i % 2 * 2 + 1);
    }
  }
}

// Token `which` (0, 1) of the lane's two columns of sums in tile n; −1 where there is none.
__device__ inline int lane_token(const Pass& pass, int n, int which) {
  const int token = n * 8 + thread_in_block() % 4 * 2 + which;
  return token < pass.tokens ? pass.first + token : -1;
}

__device__ inline float step_scale(const DecodeJob& job, const Pass& pass, int n, int which, int step) {
  const int token = lane_token(pass, n, which);
  return token < 0 ? 0.0f : *(job.in.steps + token * static_cast<int64_t>(job.in.pieces / 4) + step);
}
// Sum of the inputs of a unit of a step.
template <int kUnits>
__device__ inline float unit_sum(const DecodeJob& job, const Pass& pass, int n, int which, int step,
                                 int unit) {
  const int token = lane_token(pass, n, which);
  if (token < 0) return 0;
  constexpr int kPieces = 4 / kUnits;
  const float* from = job.in.sums + token * static_cast<int64_t>(job.in.pieces) + step * 4 + unit * kPieces;
  float sum = 0;
  AQ_UNROLL
  for (int i = 0; i < kPieces; ++i) sum += from[i];
  return sum;
}

// ---- one block of 64 × 64

template <int kTiles>
using RowSums = float[kRowTiles][kTiles][4];

// What turns sums of products of codes into sums of products of values: of the lane's eight rows, its two
// tokens in each tile.
template <int kTiles>
struct UnitScales {
  float scale[8], offset[8], inputs[kTiles][2], steps[kTiles][2];
};

// Adds what a unit's codes gave in row of tiles r. The same operations in the same order in every instance,
// so that a token's result does not depend on how many share its pass.
template <int kUnits, int kTiles>
__device__ inline void add_scaled(const DecodeJob& job, int r, const float (&part)[kTiles][4],
                                  const UnitScales<kTiles>& u, float (&sums)[kTiles][4]) {
  const bool offsets = job.w.plan.offset != OffsetWord::none;
  if (job.in.steps) {
    AQ_UNROLL
    for (int i = 0; i < 4 * kTiles; ++i) {
      const int n = i / 4, of_lane = r * 2 + i % 4 / 2, token = i % 2;
      float value = __fmul_rn(part[n][i % 4], u.scale[of_lane]);
      if (kUnits > 0 && offsets) value = __fmaf_rn(u.offset[of_lane], u.inputs[n][token], value);
      sums[n][i % 4] = __fmaf_rn(value, u.steps[n][token], sums[n][i % 4]);
    }
    return;
  }
  AQ_UNROLL
  for (int i = 0; i < 4 * kTiles; ++i)
    sums[i / 4][i % 4] = __fmaf_rn(part[i / 4][i % 4], u.scale[r * 2 + i % 4 / 2], sums[i / 4][i % 4]);
  if constexpr (kUnits > 0) {
    if (!offsets) return;
    AQ_UNROLL
    for (int i = 0; i < 4 * kTiles; ++i)
      sums[i / 4][i % 4] = __fmaf_rn(u.offset[r * 2 + i % 4 / 2], u.inputs[i / 4][i % 2], sums[i / 4][i % 4]);
  }
}

template <int kUnits, int kTiles>
__device__ inline void load_scales(const DecodeJob& job, const Pass& pass, const std::byte* record, int step,
                                   int unit, UnitScales<kTiles>& u) {
  const RecordPlan& plan = job.w.plan;
  const int row = thread_in_block() % kWarp / 4 * 8;
  AQ_UNROLL
  for (int i = 0; i < 8; ++i) u.scale[i] = 1;
  if constexpr (kUnits > 0) {
    load_words(plan.scale, record + job.w.at.scales, record + job.w.at.factors, unit, row, u.scale);
    if (plan.offset != OffsetWord::none) {
      load_offsets(job.w, record, unit, row, u.scale, u.offset);
      AQ_UNROLL
      for (int i = 0; i < 2 * kTiles; ++i)
        u.inputs[i / 2][i % 2] = unit_sum<kUnits>(job, pass, i / 2, i % 2, step, unit);
    }
  }
  if (!job.in.steps) return;
  AQ_UNROLL
  for (int i = 0; i < 2 * kTiles; ++i) u.steps[i / 2][i % 2] = step_scale(job, pass, i / 2, i % 2, step);
}

// One unit's part of each row of tiles, scaled, onto `sums`.
template <Codes codes, int kUnits, int kTiles>
__device__ inline void multiply_unit(const DecodeJob& job, const Pass& pass, const std::byte* record,
                                     const std::byte* block, int step, int unit, const Decoder& d,
                                     const StepInputs<kTiles>& x, RowSums<kTiles>& sums) {
  constexpr int kParts = kUnits == 0 ? 1 : kUnits, kUnitTiles = kDepthTiles / kParts;
  const int lane = thread_in_block() % kWarp;
  UnitScales<kTiles> u = {};
  load_scales<kUnits>(job, pass, record, step, unit, u);
  AQ_UNROLL
  for (int r = 0; r < kRowTiles; ++r) {
    uint4 v[kVectors<codes>];
    AQ_UNROLL
    for (int i = 0; i < kVectors<codes>; ++i)
      v[i] = reinterpret_cast<const uint4*>(block)[(r * kVectors<codes> + i) * kWarp + lane];
    float part[kTiles][4] = {};
    AQ_UNROLL
    for (int i = 0; i < kUnitTiles; ++i) {
      uint32_t a[4];
      decode_tile<codes>(v, unit % kParts * kUnitTiles + i, d, a);
      AQ_UNROLL
      for (int n = 0; n < kTiles; ++n) ptx::mma_bf16(part[n], a, x.b[n][unit % kParts * kUnitTiles + i]);
    }
    add_scaled<kUnits>(job, r, part, u, sums[r]);
  }
}

template <Codes codes, int kUnits, int kTiles>
__device__ inline void multiply_block(const DecodeJob& job, const Pass& pass, const std::byte* record,
                                      const std::byte* block, int step, const Decoder& d,
                                      const StepInputs<kTiles>& x, RowSums<kTiles>& sums) {
  constexpr int kParts = kUnits == 0 ? 1 : kUnits;
  AQ_UNROLL
  for (int unit = 0; unit < kParts; ++unit)
    multiply_unit<codes, kUnits, kTiles>(job, pass, record, block, step, unit, d, x, sums);
}

// A record of each block of rows; `x` holds the inputs of the first step.
template <Codes codes, int kUnits, int kTiles, int kBlocks>
__device__ inline void multiply_records(const DecodeJob& job, const Pass& pass, const std::byte* records,
                                        int step, const Decoder& d, StepInputs<kTiles>& x,
                                        RowSums<kTiles> (&sums)[kBlocks]) {
  for (int block = 0; block < job.w.plan.blocks; ++block) {
    if (block > 0) load_inputs(job, pass, step + block, x);
    AQ_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      const std::byte* record = records + b * job.w.at.bytes;
      multiply_block<codes, kUnits, kTiles>(job, pass, record, record + block * block_bytes(codes),
                                            step + block, d, x, sums[b]);
    }
  }
}

// ---- the stream of a warp

// An item: a chunk of a tile of rows, and which of the groups that its passes are dealt to.
struct Item {
  int tile, chunk, group;
};
template <int kTiles>
__device__ inline Item item_of(const DecodeJob& job, int item) {
  const int chunks = job.w.chunks.chunks;
  if constexpr (kTiles < 4) return {item / chunks, item % chunks, 0};
  const int all = item / job.groups;
  return {all / chunks, all % chunks, item % job.groups};
}

// The records that a warp reads, one after the other, over all items of its block of threads.
template <int kTiles>
struct Walk {
  int item, record, end;

  // To the first record of the warp's in `item` or behind it.
  __device__ void find(const DecodeJob& job, int items) {
    for (; item < items; item += static_cast<int>(gridDim.x)) {
      const int begin = item_of<kTiles>(job, item).chunk * job.w.chunks.chunk_records;
      end = begin + job.w.chunks.chunk_records;
      if (end > job.w.chunks.records) end = job.w.chunks.records;
      record = begin + thread_in_block() / kWarp;
      if (record < end) return;
    }
  }
  __device__ void next(const DecodeJob& job, int items) {
    record += kDecodeWarps;
    if (record < end) return;
    item += static_cast<int>(gridDim.x);
    find(job, items);
  }
};

// Where a warp stands: its next record, the stage of the ring that holds it, and the parity of that.
template <int kTiles>
struct Cursor {
  Walk<kTiles> at;
  int stage;
  uint32_t parity;

  __device__ void next(const DecodeJob& job, int items) {
    at.next(job, items);
    if (++stage == job.stages) stage = 0, parity ^= 1;
  }
};

__device__ inline int least(int a, int b) { return a < b ? a : b; }

// A warp's stages, a record of each of an item's blocks of rows in each, and the next records to ask for.
template <int kTiles, int kBlocks>
struct Ring {
  std::byte* stages;
  ptx::Barrier* full;  // [stages]
  Walk<kTiles> ahead;
  uint64_t policy;

  __device__ std::byte* stage(const DecodeJob& job, int i) const {
    return stages + i * kBlocks * job.w.at.bytes;
  }
  // Asks for the next records, if there are any; for blocks of rows behind the last one again for the last.
  __device__ void fill(const DecodeJob& job, int items, int i) {
    if (ahead.item >= items) return;
    if (thread_in_block() % kWarp == 0) {
      const int bytes = job.w.at.bytes, tile = item_of<kTiles>(job, ahead.item).tile;
      ptx::barrier_expect(full + i, static_cast<uint32_t>(kBlocks * bytes));
      AQ_UNROLL
      for (int b = 0; b < kBlocks; ++b) {
        const int row_block = least(tile * kBlocks + b, job.w.row_blocks - 1);
        ptx::bulk_copy(stage(job, i) + b * bytes,
                       job.w.rows[row_block].records + static_cast<int64_t>(ahead.record) * bytes,
                       static_cast<uint32_t>(bytes), full + i, policy);
      }
    }
    ahead.next(job, items);
  }
};

// ---- results

struct Result {
  int row_block, row, token;  // row of the block, token of the launch
};

__device__ inline void finish(const DecodeJob& job, const Result& at, float value) {
  const BlockRows rows = job.w.rows[at.row_block];
  if (at.row >= rows.count) return;
  const int token = at.token, place = at.row_block * kBlockRows + at.row;
  if (job.w.row_factors) value = __fmul_rn(value, job.w.row_factors[place]);
  if (job.w.row_offsets) value = __fmaf_rn(job.w.row_offsets[place], job.in.totals[token], value);
  if (job.in.scales) value = __fmul_rn(value, job.in.scales[token]);
  const int column = rows.first + at.row;
  float* y = job.out.y + token * job.out.y_row + column;
  if (job.out.bias) value = __fadd_rn(value, job.out.bias[column]);
  if (job.out.accumulate) value = __fadd_rn(value, *y);
  *y = value;
}

__device__ inline float* partial_sum(const DecodeJob& job, const Result& at, int chunk) {
  const int64_t part = static_cast<int64_t>(at.row_block) * job.w.chunks.chunks + chunk;
  return job.partial + (part * job.tokens + at.token) * kBlockRows + at.row;
}

// f(result, index) for what this thread finishes of a tile of rows.
template <int kBlocks, class F>
__device__ inline void each_result(const DecodeJob& job, const Pass& pass, int tile, F f) {
  constexpr int kRows = kBlocks * kBlockRows;
  for (int i = thread_in_block(); i < pass.tokens * kRows; i += kThreads) {
    const int token = i / kRows;
    const Result at = {tile * kBlocks + i % kRows / kBlockRows, i % kBlockRows, pass.first + token};
    if (at.row_block < job.w.row_blocks) f(at, token * kTokenStride<kBlocks> + i % kRows);
  }
}

// An item whose sums are handed over. Whether they were the last of their tile of rows is asked for at once
// and looked at behind the next item, so that nobody waits for the answer.
struct Handover {
  int tile = -1;        // none
  uint32_t before = 0;  // items of the tile that came before; thread 0 knows
};

// By all threads, whose sums are written.
template <int kBlocks>
__device__ inline void hand_over(const DecodeJob& job, int tile, Handover& h) {
  h.tile = tile;
  if (thread_in_block() != 0) return;
  __threadfence();
  h.before = atomicAdd(job.w.arrived + tile * kBlocks, 1u);
}
// Before a barrier, for finish_if_last() behind it.
__device__ inline void tell_if_last(const DecodeJob& job, const Handover& h, uint32_t& last) {
  if (thread_in_block() == 0) last = h.before == static_cast<uint32_t>(job.w.chunks.chunks * job.groups - 1);
}
// Adds the chunks of one row up, in their order, or of four at once: many tokens have so many sums that the
// time until one is there counts.
template <class Sum, class Add>
__device__ inline Sum sum_chunks(const DecodeJob& job, const Result& at, Add add) {
  Sum sum = {};
  for (int chunk = 0; chunk < job.w.chunks.chunks; ++chunk)
    add(sum, __ldcg(reinterpret_cast<const Sum*>(partial_sum(job, at, chunk))));
  return sum;
}
template <int kBlocks>
__device__ inline void finish_four_rows(const DecodeJob& job, int tile) {
  constexpr int kFours = kBlocks * kBlockRows / 4;
  for (int i = thread_in_block(); i < job.tokens * kFours; i += kThreads) {
    const int row = i % kFours * 4;
    const Result at = {tile * kBlocks + row / kBlockRows, row % kBlockRows, i / kFours};
    if (at.row_block >= job.w.row_blocks) continue;
    const float4 sum = sum_chunks<float4>(job, at, [](float4& to, const float4& part) {
      to.x += part.x, to.y += part.y, to.z += part.z, to.w += part.w;
    });
    finish(job, at, sum.x);
    finish(job, {at.row_block, at.row + 1, at.token}, sum.y);
    finish(job, {at.row_block, at.row + 2, at.token}, sum.z);
    finish(job, {at.row_block, at.row + 3, at.token}, sum.w);
  }
}

// By the last of a tile's items to come, for all tokens.
template <int kTiles, int kBlocks>
__device__ inline void finish_if_last(const DecodeJob& job, Handover& h, uint32_t last) {
  const int tile = h.tile;
  h.tile = -1;
  if (tile < 0 || !last) return;
  __threadfence();
  if constexpr (kTiles == 4)
    finish_four_rows<kBlocks>(job, tile);
  else
    each_result<kBlocks>(job, {0, job.tokens}, tile, [&](const Result& at, int) {
      finish(job, at, sum_chunks<float>(job, at, [](float& to, float part) { to += part; }));
    });
  if (thread_in_block() == 0) job.w.arrived[tile * kBlocks] = 0;
}

template <int kTiles, int kBlocks>
__device__ inline void put_sums(const RowSums<kTiles> (&sums)[kBlocks], float* to) {
  const int lane = thread_in_block() % kWarp;
  AQ_UNROLL
  for (int i = 0; i < kBlocks * kRowTiles * kTiles * 4; ++i) {
    const int b = i / (kRowTiles * kTiles * 4), r = i / (kTiles * 4) % kRowTiles, n = i / 4 % kTiles;
    const int token = n * 8 + lane % 4 * 2 + i % 2, row = b * kBlockRows + r * 16 + i % 4 / 2 * 8 + lane / 4;
    to[token * kTokenStride<kBlocks> + row] = sums[b][r][n][i % 4];
  }
}

// Adds the warps' sums of a pass up, and hands the item's on behind its last.
template <int kTiles, int kBlocks>
__device__ inline void reduce(const DecodeJob& job, int number, const Pass& pass, bool last_pass,
                              const RowSums<kTiles> (&sums)[kBlocks], float* of_warps, Handover& h,
                              uint32_t& last) {
  const Item item = item_of<kTiles>(job, number);
  put_sums<kTiles, kBlocks>(sums, of_warps + thread_in_block() / kWarp * kWarpSums<kTiles, kBlocks>);
  tell_if_last(job, h, last);
  __syncthreads();
  finish_if_last<kTiles, kBlocks>(job, h, last);
  each_result<kBlocks>(job, pass, item.tile, [&](const Result& at, int index) {
    float sum = 0;
    AQ_UNROLL
    for (int warp = 0; warp < kDecodeWarps; ++warp)
      sum += of_warps[warp * kWarpSums<kTiles, kBlocks> + index];
    if (job.w.chunks.chunks == 1)
      finish(job, at, sum);
    else
      *partial_sum(job, at, item.chunk) = sum;
  });
  __syncthreads();
  if (last_pass && job.w.chunks.chunks > 1) hand_over<kBlocks>(job, item.tile, h);
}

// ---- the kernel

// Whether two blocks of threads share an SM: where 128 registers a thread are enough, and shared memory for
// two rings is there (start()).
template <Codes codes, int kUnits, int kTiles, int kBlocks>
constexpr bool kPaired = kBlocks == 1 && codes != Codes::bf16 &&
                         (kTiles == 1 || (kTiles == 2 && kUnits != 0 && kUnits != 4));

// The warp's records of `item`, from where `c` stands; behind the last pass their stages are filled again.
template <Codes codes, int kUnits, int kTiles, int kBlocks>
__device__ inline void multiply_item(const DecodeJob& job, int item, int items, const Pass& pass,
                                     bool last_pass, const Decoder& d, Cursor<kTiles>& c,
                                     Ring<kTiles, kBlocks>& ring, RowSums<kTiles> (&sums)[kBlocks]) {
  for (; c.at.item == item; c.next(job, items)) {
    StepInputs<kTiles> x;
    const int step = c.at.record * job.w.plan.blocks;
    load_inputs(job, pass, step, x);
    ptx::barrier_wait(ring.full + c.stage, c.parity);
    multiply_records<codes, kUnits>(job, pass, ring.stage(job, c.stage), step, d, x, sums);
    __syncwarp();
    if (last_pass) ring.fill(job, items, c.stage);
  }
}

template <Codes codes, int kUnits, int kTiles, int kBlocks>
__global__ void __launch_bounds__(kThreads, kPaired<codes, kUnits, kTiles, kBlocks> ? 2 : 1)
    multiply(const __grid_constant__ DecodeJob job) {
  DecodeShared& s = shared<DecodeShared>();
  LookUp* look = reinterpret_cast<LookUp*>(&s + 1);
  float* of_warps = reinterpret_cast<float*>(look + (codes == Codes::book4 ? 1 : 0));
  std::byte* rings = reinterpret_cast<std::byte*>(of_warps + kDecodeWarps * kWarpSums<kTiles, kBlocks>);
  const int warp = thread_in_block() / kWarp, first = static_cast<int>(blockIdx.x);
  const int tiles = (job.w.row_blocks + kBlocks - 1) / kBlocks;
  const int groups = kTiles < 4 ? 1 : job.groups, items = tiles * job.w.chunks.chunks * groups;
  const int passes = kTiles < 4 ? 1 : (job.tokens + kDecodeTokens - 1) / kDecodeTokens;

  if (thread_in_block() % kWarp == 0) {
    for (int i = 0; i < job.stages; ++i) ptx::barrier_init(&s.full[warp][i], 1);
    ptx::barrier_init_fence();
  }
  if constexpr (codes == Codes::book4) fill(*look, job.w.table);
  __syncthreads();
  const Decoder d = decoder(job.w.plan, look);

  // One block of threads reads a record once, but each group has its own.
  Ring<kTiles, kBlocks> ring{rings + warp * job.stages * kBlocks * job.w.at.bytes,
                             s.full[warp],
                             {first, 0, 0},
                             groups > 1 ? ptx::evict_normal() : ptx::evict_first()};
  ring.ahead.find(job, items);
  for (int i = 0; i < job.stages; ++i) ring.fill(job, items, i);
  ptx::let_next_start();
  ptx::wait_for_previous();  // weights do not change; all else does
  Cursor<kTiles> begin{{first, 0, 0}, 0, 0};
  begin.at.find(job, items);
  Handover handover;
  for (int item = first; item < items; item += static_cast<int>(gridDim.x)) {
    Cursor<kTiles> c = begin;
    for (int p = item_of<kTiles>(job, item).group; p < passes; p += groups) {
      const Pass pass = pass_of<kTiles>(job, p);
      const bool last_pass = p + groups >= passes;
      RowSums<kTiles> sums[kBlocks] = {};
      c = begin;
      multiply_item<codes, kUnits>(job, item, items, pass, last_pass, d, c, ring, sums);
      reduce<kTiles, kBlocks>(job, item, pass, last_pass, sums, of_warps, handover, s.last);
    }
    begin = c;
  }
  tell_if_last(job, handover, s.last);
  __syncthreads();
  finish_if_last<kTiles, kBlocks>(job, handover, s.last);
}

// ---- launch

// Shared memory of an SM's one block of threads, of one of two; and what is not rings.
constexpr uint32_t kWhole = 227 * 1024, kHalf = 112 * 1024;
template <Codes codes, int kTiles, int kBlocks>
constexpr uint32_t kFixed = sizeof(DecodeShared) + (codes == Codes::book4 ? sizeof(LookUp) : 0) +
                            kDecodeWarps* kWarpSums<kTiles, kBlocks> * sizeof(float);

constexpr int ring_stages(uint32_t bytes, uint32_t stage) {
  return static_cast<int>(bytes / stage < kMostStages ? bytes / stage : kMostStages);
}

// Whether rings hold all of an item, as passes need it, of the records with the most scales.
template <Codes codes, int kUnits>
constexpr bool keeps_items(int8_t blocks) {
  const OffsetWord offset = codes == Codes::book4 ? OffsetWord::none : OffsetWord::minimum;
  const RecordPlan plan{codes, ScaleWord::f32, offset, kUnits, blocks};
  const auto stage = static_cast<uint32_t>(kDecodeWarps * plan.bytes());
  return ring_stages(kWhole - kFixed<codes, 4, 1>, stage) * kDecodeWarps >=
         plan_chunks(plan, 1 << 20).chunk_records;
}

template <Codes codes, int kUnits, int kTiles, int kBlocks>
void start(DecodeJob job) {
  static_assert(keeps_items<codes, kUnits>(1) && (kUnits > 1 || keeps_items<codes, kUnits>(2)));
  constexpr uint32_t kOther = kFixed<codes, kTiles, kBlocks>;
  const uint32_t stage = static_cast<uint32_t>(kDecodeWarps * kBlocks * job.w.at.bytes);
  const bool two = kPaired<codes, kUnits, kTiles, kBlocks> && kOther + 2 * stage <= kHalf;
  job.stages = ring_stages((two ? kHalf : kWhole) - kOther, stage);
  const int resident = multiprocessors() * (two ? 2 : 1);
  int items = (job.w.row_blocks + kBlocks - 1) / kBlocks * job.w.chunks.chunks;
  // Where a weight has too few items for all SMs, blocks of threads share an item's passes.
  const int passes = (job.tokens + kDecodeTokens - 1) / kDecodeTokens;
  job.groups = items >= resident ? 1 : std::min(passes, resident / items);
  items *= job.groups;
  launch({.grid = {static_cast<uint32_t>(items < resident ? items : resident)},
          .block = {kThreads},
          .shared_bytes = kOther + static_cast<uint32_t>(job.stages) * stage,
          .early = true},
         stream(), multiply<codes, kUnits, kTiles, kBlocks>, job);
}

// One tile of tokens, two or four; of two, codes of 4 bits meet them with two blocks of rows, since inputs
// weigh as much as they.
template <Codes codes, int kUnits>
void start_tokens(const DecodeJob& job) {
  if (job.tokens <= 8) return start<codes, kUnits, 1, 1>(job);
  if (job.tokens <= 16) return start < codes, kUnits, 2, code_bits(codes) == 4 ? 2 : 1 > (job);
  start<codes, kUnits, 4, 1>(job);
}

template <Codes codes>
void start_units(const DecodeJob& job) {
  switch (job.w.plan.units) {
    case 0:
      return start_tokens<codes, 0>(job);
    case 1:
      return start_tokens<codes, 1>(job);
    case 2:
      return start_tokens<codes, 2>(job);
    default:
      return start_tokens<codes, 4>(job);
  }
}

}  // namespace aquatint::kernels::cuda::decode
