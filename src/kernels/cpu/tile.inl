// The register tile of every matrix product, of floats or doubles: c[rows][strips · lanes] (+)= a · b with one chain of FMAs per
// element, k ascending, so that cutting k or the rows into pieces does not change a bit. Included inside an
// instruction set's namespace.

template <class T>
struct TileArgsOf {
  const T* a;  // [rows][stride a_row]
  int64_t a_row;
  const T* b;  // element (k, lane n of strip j) at b[k · b_step + j · b_strip + n]
  int64_t b_step, b_strip;
  int64_t depth;
  T* c;  // [rows][stride c_row]
  int64_t c_row;
  bool first;  // c starts from zero, otherwise from its present value
};

using TileArgs = TileArgsOf<float>;

template <class T>
constexpr int kLanesOf = 64 / sizeof(T);

AQ_INLINE V in_all_lanes(float x) { return set(x); }
AQ_INLINE D in_all_lanes(double x) { return set_d(x); }

template <int rows, int strips, class T>
void tile(const TileArgsOf<T>& t) {
  constexpr int kLanes = kLanesOf<T>;
  using W = decltype(load(t.b));
  W sum[rows][strips];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) sum[i][j] = t.first ? in_all_lanes(T{}) : load(t.c + i * t.c_row + j * kLanes);
  // Few pointers: were one spilled to a vector register, its way back would cost a slot of the multiplications.
  constexpr int kHalf = (rows + 1) / 2;
  const T *b = t.b, *upper = t.a, *lower = t.a + kHalf * t.a_row;
  const int64_t row = t.a_row, strip = t.b_strip, step = t.b_step;
  for (const T* end = upper + t.depth; upper < end; ++upper, ++lower, b += step) {
    W w[strips];
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) w[j] = load(b + j * strip);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const W x = in_all_lanes(i < kHalf ? upper[i * row] : lower[(i - kHalf) * row]);
#pragma GCC unroll 4
      for (int j = 0; j < strips; ++j) sum[i][j] = fma(x, w[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) store(t.c + i * t.c_row + j * kLanes, sum[i][j]);
}

template <int rows, int strips, class T>
void tile_of_rows(int64_t wanted, const TileArgsOf<T>& t) {
  if constexpr (rows > 1) {
    if (wanted < rows) return tile_of_rows<rows - 1, strips>(wanted, t);
  }
  tile<rows, strips>(t);
}

// Any number of rows, at most kTileStrips strips.
template <int strips = kTileStrips, class T>
void tiles(int64_t rows, int64_t wanted_strips, TileArgsOf<T> t) {
  if constexpr (strips > 1) {
    if (wanted_strips < strips) return tiles<strips - 1>(rows, wanted_strips, t);
  }
  for (int64_t row = 0; row < rows; row += kTileRows) {
    tile_of_rows<kTileRows, strips>(std::min<int64_t>(kTileRows, rows - row), t);
    t.a += kTileRows * t.a_row;
    t.c += kTileRows * t.c_row;
  }
}
