// The register tile of every matrix product: c[rows][strips · 16] (+)= a · b with one chain of FMAs per
// element, k ascending, so that cutting k or the rows into pieces does not change a bit. Included inside an
// instruction set's namespace.

struct TileArgs {
  const float* a;  // [rows][stride a_row]
  int64_t a_row;
  const float* b;  // element (k, lane n of strip j) at b[k · b_step + j · b_strip + n]
  int64_t b_step, b_strip;
  int64_t depth;
  float* c;  // [rows][stride c_row]
  int64_t c_row;
  bool first;  // c starts from zero, otherwise from its present value
};

template <int rows, int strips>
void tile(const TileArgs& t) {
  V sum[rows][strips];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) sum[i][j] = t.first ? zero() : load(t.c + i * t.c_row + j * 16);
  // Few pointers: were one spilled to a vector register, its way back would cost a slot of the multiplications.
  constexpr int kHalf = (rows + 1) / 2;
  const float *b = t.b, *upper = t.a, *lower = t.a + kHalf * t.a_row;
  const int64_t row = t.a_row, strip = t.b_strip, step = t.b_step;
  for (const float* end = upper + t.depth; upper < end; ++upper, ++lower, b += step) {
    V w[strips];
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) w[j] = load(b + j * strip);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const V x = set(i < kHalf ? upper[i * row] : lower[(i - kHalf) * row]);
#pragma GCC unroll 4
      for (int j = 0; j < strips; ++j) sum[i][j] = fma(x, w[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) store(t.c + i * t.c_row + j * 16, sum[i][j]);
}

template <int rows, int strips>
void tile_of_rows(int64_t wanted, const TileArgs& t) {
  if constexpr (rows > 1) {
    if (wanted < rows) return tile_of_rows<rows - 1, strips>(wanted, t);
  }
  tile<rows, strips>(t);
}

// Any number of rows, at most kTileStrips strips.
template <int strips = kTileStrips>
void tiles(int64_t rows, int64_t wanted_strips, TileArgs t) {
  if constexpr (strips > 1) {
    if (wanted_strips < strips) return tiles<strips - 1>(rows, wanted_strips, t);
  }
  for (int64_t row = 0; row < rows; row += kTileRows) {
    tile_of_rows<kTileRows, strips>(std::min<int64_t>(kTileRows, rows - row), t);
    t.a += kTileRows * t.a_row;
    t.c += kTileRows * t.c_row;
  }
}
