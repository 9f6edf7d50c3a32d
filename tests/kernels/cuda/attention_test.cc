// Attention and caches over the emulated device.
#include "kernels/attention_checks.h"

#include <set>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/emulated_set.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Cuda, Attention, testing::Values(&cuda::emulated_set()), set_name);

constexpr KvFormat kTileFormats[] = {KvFormat::bf16, KvFormat::fp8_e4m3, KvFormat::int8, KvFormat::int4};

TEST(CudaCache, LayoutIsThatOfTheHost) {
  for (const KvFormat format : kFormats)
    for (const int64_t dim : {1, 7, 16, 33, 64, 80, 128, 200})
      for (const int64_t capacity : {1, 15, 64, 100, 1000}) {
        const int64_t recent = kv_recent(format, 5);
        const KvLayout want = kv_layout(format, dim, capacity, recent);
        const KvLayout got = cuda::head_layout(format, dim, capacity, recent);
        EXPECT_EQ(got.head_bytes, want.head_bytes);
        EXPECT_EQ(got.key_scales, want.key_scales);
        EXPECT_EQ(got.value_scales, want.value_scales);
        for (const int64_t p : {int64_t{0}, capacity - 1})
          for (const int64_t d : {int64_t{0}, dim - 1}) {
            EXPECT_EQ(cuda::key_lane(got.codes, p, d), want.codes.key_lane(p, d));
            EXPECT_EQ(cuda::value_lane(got.codes, p, d), want.codes.value_lane(p, d));
            if (format != KvFormat::int4) continue;
            EXPECT_EQ(cuda::key_lane(got.recent, p % recent, d), want.recent.key_lane(p % recent, d));
            EXPECT_EQ(cuda::value_lane(got.recent, p % recent, d), want.recent.value_lane(p % recent, d));
            EXPECT_EQ(cuda::key_pairs(got, p), want.key_pairs(p));
          }
      }
  for (int64_t p = 0; p < 1000; ++p) EXPECT_EQ(cuda::exact_from(p), kv_exact_from(p));
}

TEST(CudaCache, CodesAreThoseOfTheFormats) {
  const auto check = [](float x) {
    EXPECT_EQ(cuda::bf16_code(x), numeric::float_to_bf16(x)) << x;
    EXPECT_EQ(cuda::int8_code(x), numeric::int8.encode(x)) << x;
    EXPECT_EQ(cuda::e4m3_code(x), numeric::fp8_e4m3.encode(x)) << x;
  };
  for (const float x : cases::random_floats(20000, 3, 1.0))
    for (const float unit : {0x1p-9f, 0x1p-6f, 1.0f, 60.0f, 300.0f}) check(x * unit);
  for (int i = -2000; i <= 2000; ++i) check(static_cast<float>(i) / 4);
  for (int i = 0; i < 4096; ++i) check(static_cast<float>(i) * 0x1p-13f);
  for (const float x : {0.0f, -0.0f, HUGE_VALF, -HUGE_VALF, NAN, 1e-40f}) check(x);
  for (uint32_t code = 0; code < 256; ++code) {
    if ((code & 0x7f) == 0x7f) continue;
    EXPECT_EQ(cuda::e4m3_value(code), numeric::fp8_e4m3.decode(code));
    EXPECT_EQ(cuda::kv_value(KvFormat::int8, code), numeric::int8.decode(code));
  }
}

// Two codes at once, in the halves of a word.
TEST(CudaTiles, CodesBecomeBf16Exactly) {
  for (uint32_t a = 0; a < 256; ++a)
    for (const uint32_t b : {0u, 1u, 0x35u, 0x7eu, 0x80u, 0xfeu}) {
      const auto expect = [&](uint32_t pair, float low, float high) {
        EXPECT_EQ(cuda::low_half(pair), low) << a;
        EXPECT_EQ(cuda::high_half(pair), high) << b;
      };
      // What lies between is another code.
      const uint32_t word = a | b << 16 | 0x5a005a00u;
      expect(cuda::to_pair<KvFormat::int8>(word), numeric::int8.decode(a), numeric::int8.decode(b));
      if ((a & 0x7f) != 0x7f)
        expect(cuda::to_pair<KvFormat::fp8_e4m3>(word), numeric::fp8_e4m3.decode(a),
               numeric::fp8_e4m3.decode(b));
      expect(cuda::to_pair<KvFormat::int4>(word), static_cast<float>(a % 16), static_cast<float>(b % 16));
    }
}

// Lines of a square, each 16 bytes once; and the slots of a thread are all its dimensions and positions once.
TEST(CudaTiles, PiecesCoverSquaresOnce) {
  for (const KvFormat format : kTileFormats) {
    const int pieces = cuda::pieces_of(format), slabs = 3;
    const int per_lane = cuda::kv_codes_per_lane(format);
    std::set<std::tuple<int, int, int>> keys, values;
    for (int slab = 0; slab < slabs; ++slab)
      for (int piece = 0; piece < pieces; ++piece)
        for (int lane = 0; lane < 32; ++lane) {
          const cuda::PieceAt k = cuda::key_piece(format, slab, piece, lane);
          const cuda::PieceAt v = cuda::value_piece(format, slab, piece, lane);
          EXPECT_LT(k.line * per_lane, 32 * slabs);
          EXPECT_LT(k.row, 2);
          EXPECT_LT(v.line, 2 * slabs);
          EXPECT_LT(v.row * per_lane, 32);
          EXPECT_TRUE(keys.insert({k.line, k.row, k.offset}).second);
          EXPECT_TRUE(values.insert({v.line, v.row, v.offset}).second);
        }
    std::set<int> dimensions, positions;
    for (int part = 0; part < 4; ++part)
      for (int step = 0; step < 2; ++step)
        for (int slot = 0; slot < 4; ++slot) {
          dimensions.insert(cuda::key_dimension(format, part, step, slot));
          positions.insert(cuda::value_position(format, part, step, slot));
        }
    EXPECT_EQ(dimensions.size(), 32u);
    EXPECT_EQ(positions.size(), 32u);
  }
}

TEST(CudaTiles, ChunksAreWholeAndBounded) {
  for (const KvFormat format : kTileFormats)
    for (int64_t position = 0; position < 300000; position += 61) {
      const int64_t chunk = cuda::decode_chunk(format, position);
      EXPECT_EQ(chunk % (format == KvFormat::int4 ? 256 : 128), 0);
      EXPECT_LT(position / chunk, cuda::kMostChunks);
    }
}

}  // namespace
}  // namespace aquatint::kernels
