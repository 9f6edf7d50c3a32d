#include "kernels/cuda/linear_prefill.h"

#include "kernels/cuda/linear_codes.h"
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;

struct TableShared {
  float values[16];
};

// Values are [row_blocks · 64][depth].
template <class T>
struct Decoded {
  DecodeWeight w;
  T* values;
  int64_t depth;
};

// The eight values of a lane in a tile: rows g and g + 8, four columns of each.
struct LaneValues {
  float v[2][4];
};

template <Codes codes>
__device__ inline void tile_values(const uint4 (&v)[kVectors<codes>], int tile, const Decoder& d,
                                   LaneValues& out) {
  if constexpr (codes == Codes::book4) {
    const float* table = shared<TableShared>().values;
    const uint32_t word = component(v[0], tile);
    AQ_UNROLL
    for (int i = 0; i < 8; ++i) out.v[i / 2 % 2][i / 4 * 2 + i % 2] = table[word >> 4 * i & 15];
  } else {
    uint32_t a[4];
    decode_tile<codes>(v, tile, d, a);
    AQ_UNROLL
    for (int i = 0; i < 8; ++i) out.v[i / 2 % 2][i / 4 * 2 + i % 2] = bf16_half(a[i / 2], i % 2);
  }
}

// Scale and offset of the lane's eight rows in a unit.
struct LaneScales {
  float scale[8], offset[8];
};

__device__ inline void load_unit(const DecodeWeight& w, const std::byte* record, int row_block, int unit,
                                 int row, LaneScales& s) {
  AQ_UNROLL
  for (int i = 0; i < 8; ++i) s.scale[i] = 1, s.offset[i] = 0;
  if (w.plan.units > 0) {
    load_words(w.plan.scale, record + w.at.scales, record + w.at.factors, unit, row, s.scale);
    if (w.plan.offset != OffsetWord::none) load_offsets(w, record, unit, row, s.scale, s.offset);
  }
  AQ_UNROLL
  for (int i = 0; i < 8; ++i) {
    const int place = row_block * kBlockRows + i * 8 + row / 8;
    const float factor = w.row_factors ? w.row_factors[place] : 1.0f;
    s.scale[i] *= factor;
    s.offset[i] *= factor;
    if (w.row_offsets) s.offset[i] += w.row_offsets[place];
  }
}

// One block of a record by a warp: a row of tiles after the other.
template <Codes codes>
__device__ inline void decode_block(const Decoded<uint16_t>& job, int row_block, const std::byte* record,
                                    int block, int64_t col, const Decoder& d) {
  const int lane = thread_in_block() % kWarp, units = job.w.plan.units > 0 ? job.w.plan.units : 1;
  const uint4* from = reinterpret_cast<const uint4*>(record + block * block_bytes(codes));
  uint16_t* to = job.values + (int64_t{row_block} * kBlockRows + lane / 4) * job.depth + col + lane % 4 * 4;
  LaneScales s;
  AQ_UNROLL
  for (int tile = 0; tile < kDepthTiles; ++tile) {
    if (tile * units % kDepthTiles == 0)
      load_unit(job.w, record, row_block, tile * units / kDepthTiles, lane / 4 * 8, s);
    AQ_UNROLL
    for (int r = 0; r < kRowTiles; ++r) {
      uint4 v[kVectors<codes>];
      AQ_UNROLL
      for (int i = 0; i < kVectors<codes>; ++i) v[i] = from[(r * kVectors<codes> + i) * kWarp + lane];
      LaneValues values;
      tile_values<codes>(v, tile, d, values);
      AQ_UNROLL
      for (int half = 0; half < 2; ++half) {
        const float scale = s.scale[r * 2 + half], offset = s.offset[r * 2 + half];
        float(&x)[4] = values.v[half];
        AQ_UNROLL
        for (int i = 0; i < 4; ++i) x[i] = __fmaf_rn(x[i], scale, offset);
        *reinterpret_cast<uint2*>(to + (r * 16 + half * 8) * job.depth + tile * kTileDepth) =
            make_uint2(ptx::to_bf16(x[0], x[1]), ptx::to_bf16(x[2], x[3]));
      }
    }
  }
}

// f(row block, record, its bytes): a warp a record at a time.
template <class F>
__device__ inline void each_record(const DecodeWeight& w, F f) {
  const int records = w.chunks.records, warps = static_cast<int>(gridDim.x) * kWarps;
  for (int64_t i = static_cast<int>(blockIdx.x) * kWarps + thread_in_block() / kWarp;
       i < int64_t{records} * w.row_blocks; i += warps) {
    const int row_block = static_cast<int>(i / records), record = static_cast<int>(i % records);
    f(row_block, record, w.rows[row_block].records + int64_t{record} * w.at.bytes);
  }
}

// Limit: device memory, of which it writes more than it reads.
template <Codes codes>
__global__ void __launch_bounds__(kThreads) decode_records(const __grid_constant__ Decoded<uint16_t> job) {
  if (codes == Codes::book4 && thread_in_block() < 16)
    shared<TableShared>().values[thread_in_block()] = job.w.table[thread_in_block()];
  __syncthreads();
  const Decoder d = decoder(job.w.plan, nullptr);
  each_record(job.w, [&](int row_block, int record, const std::byte* at) {
    for (int block = 0; block < job.w.plan.blocks; ++block)
      decode_block<codes>(job, row_block, at, block,
                          (int64_t{record} * job.w.plan.blocks + block) * kBlockColumns, d);
  });
}

// Four columns of a row of a tile (g, or g + 8) as bytes.
template <Codes codes>
__device__ inline uint32_t tile_bytes(const uint4 (&v)[kVectors<codes>], int tile, int half, uint32_t bias) {
  uint32_t bytes;
  if constexpr (codes == Codes::int4) {
    bytes = __byte_perm(component(v[0], tile) >> 4 * half & 0x0f0f0f0fu, 0, 0x3120);
  } else {
    bytes = __byte_perm(component(v[tile / 2], tile % 2 * 2), component(v[tile / 2], tile % 2 * 2 + 1),
                        half == 0 ? 0x5410 : 0x7632);
  }
  if constexpr (codes == Codes::e4m3) return bytes;
  // Byte by byte: none may borrow from its neighbour.
  constexpr uint32_t kTop = 0x80808080u;
  return ((bytes | kTop) - (bias & ~kTop)) ^ ((bytes ^ ~bias) & kTop);
}

template <Codes codes>
__global__ void __launch_bounds__(kThreads) decode_bytes(const __grid_constant__ Decoded<uint8_t> job) {
  const int lane = thread_in_block() % kWarp;
  const uint32_t bias = static_cast<uint32_t>(job.w.plan.bias) * 0x01010101u;
  each_record(job.w, [&](int row_block, int record, const std::byte* at) {
    const uint4* from = reinterpret_cast<const uint4*>(at);
    uint8_t* to = job.values + (int64_t{row_block} * kBlockRows + lane / 4) * job.depth +
                  int64_t{record} * kBlockColumns + lane % 4 * 4;
    AQ_UNROLL
    for (int r = 0; r < kRowTiles; ++r) {
      uint4 v[kVectors<codes>];
      AQ_UNROLL
      for (int k = 0; k < kVectors<codes>; ++k) v[k] = from[(r * kVectors<codes> + k) * kWarp + lane];
      AQ_UNROLL
      for (int k = 0; k < 2 * kDepthTiles; ++k)
        *reinterpret_cast<uint32_t*>(to + (r * 16 + k % 2 * 8) * job.depth + k / 2 * kTileDepth) =
            tile_bytes<codes>(v, k / 2, k % 2, bias);
    }
  });
}

uint32_t resident_blocks(const DecodeWeight& w) {
  const int64_t wanted = blocks_for(int64_t{w.chunks.records} * w.row_blocks, kWarps);
  const int64_t resident = int64_t{multiprocessors()} * 8;
  return static_cast<uint32_t>(wanted < resident ? wanted : resident);
}

template <Codes codes>
void start_bytes(const Decoded<uint8_t>& job) {
  launch({.grid = {resident_blocks(job.w)}, .block = {kThreads}}, stream(), decode_bytes<codes>, job);
}

template <Codes codes>
void start_decode(const Decoded<uint16_t>& job) {
  launch({.grid = {resident_blocks(job.w)},
          .block = {kThreads},
          .shared_bytes = codes == Codes::book4 ? static_cast<uint32_t>(sizeof(TableShared)) : 0},
         stream(), decode_records<codes>, job);
}

struct FinishJob {
  DecodeWeight w;
  Finish f;
  DecodeOutput out;
};

// A block of threads a token and four blocks of rows. Limit: device memory.
__global__ void __launch_bounds__(kThreads) finish_rows(const __grid_constant__ FinishJob job) {
  const int64_t token = blockIdx.y;
  const int place = static_cast<int>(blockIdx.x) * kThreads + thread_in_block();
  if (place >= job.w.row_blocks * kBlockRows) return;
  const BlockRows rows = job.w.rows[place / kBlockRows];
  if (place % kBlockRows >= rows.count) return;
  const int column = rows.first + place % kBlockRows;
  const int64_t at = token * job.w.row_blocks * kBlockRows + place;
  float value =
      job.f.sums ? static_cast<float>(job.f.sums[at]) * job.w.row_factors[place] : job.f.products[at];
  if (job.f.scales) value *= job.f.scales[token];
  float* y = job.out.y + token * job.out.y_row + column;
  if (job.out.bias) value += job.out.bias[column];
  if (job.out.accumulate) value += *y;
  *y = value;
}

}  // namespace

void decode_to_bf16(const DecodeWeight& w, uint16_t* values) {
  const Decoded<uint16_t> job = {w, values, int64_t{w.chunks.records} * w.plan.columns()};
  switch (w.plan.codes) {
    case Codes::int4:
      return start_decode<Codes::int4>(job);
    case Codes::book4:
      return start_decode<Codes::book4>(job);
    case Codes::int8:
      return start_decode<Codes::int8>(job);
    case Codes::e4m3:
      return start_decode<Codes::e4m3>(job);
    default:
      return start_decode<Codes::bf16>(job);
  }
}

void decode_to_bytes(const DecodeWeight& w, uint8_t* values) {
  const Decoded<uint8_t> job = {w, values, int64_t{w.chunks.records} * w.plan.columns()};
  if (w.plan.codes == Codes::int4) return start_bytes<Codes::int4>(job);
  if (w.plan.codes == Codes::int8) return start_bytes<Codes::int8>(job);
  start_bytes<Codes::e4m3>(job);
}

void finish_products(const DecodeWeight& w, const Finish& f, const DecodeOutput& out) {
  constexpr int64_t kMostTokens = 65535;  // of a launch's y
  for (int64_t first = 0; first < f.tokens; first += kMostTokens) {
    const int64_t tokens = f.tokens - first < kMostTokens ? f.tokens - first : kMostTokens;
    FinishJob job{w, f, out};
    const int64_t at = first * w.row_blocks * kBlockRows;
    if (f.sums)
      job.f.sums += at;
    else
      job.f.products += at;
    if (f.scales) job.f.scales += first;
    job.out.y += first * out.y_row;
    launch({.grid = {static_cast<uint32_t>(blocks_for(int64_t{w.row_blocks} * kBlockRows, kThreads)),
                     static_cast<uint32_t>(tokens)},
            .block = {kThreads}},
           stream(), finish_rows, job);
  }
}

}  // namespace aquatint::kernels::cuda
