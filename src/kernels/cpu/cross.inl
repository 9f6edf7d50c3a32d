// aᵀ · b over many rows, as Gram matrices are, in 16-bit block fixed point: half the time of FP32 where vpdpwssd is.
// Included inside an instruction set's namespace.

constexpr float kCrossCode = 4095;  // 4095² · kCrossRun < 2^31
static_assert(int64_t{4095} * 4095 * kCrossRun < int64_t{1} << 31);
constexpr int64_t kCrossPiece = 4 * kCrossRun;  // rows between two additions to out: what a task reads stays in L2
constexpr int64_t kCrossTile = 96;              // columns of a task's corner of out
constexpr int kCrossRows = kTileRows < 8 ? 4 : 8;

// The columns of one factor over the rows of a piece: strips of 16 columns, each [pairs of rows][16] pairs of 16 bits, and
// their scales, [runs][16].
struct ColumnCodes {
  std::byte* lines;
  float* scales;
  int64_t runs;
  std::byte* strip(int64_t s) const { return lines + s * runs * kCrossRun / 2 * kLine; }
  float* scales_of(int64_t s) const { return scales + s * runs * kStrip; }
};

// A run of up to 16 columns; rows and columns that are not there count as zeros.
inline void code_run(const float* x, int64_t stride, int64_t rows, int64_t columns, std::byte* lines, float* scales) {
  const auto row = [&](int64_t r) {
    if (r >= rows) return zero();
    return columns >= kStrip ? load(x + r * stride) : load_n(x + r * stride, columns);
  };
  V most = set(1e-30f);  // products of what is below vanish in FP32
  for (int64_t r = 0; r < rows; ++r) most = max(most, abs(row(r)));
  store(scales, mul(most, set(1 / kCrossCode)));
  const V inverse = div(set(kCrossCode), most);
  for (int64_t r = 0; r < kCrossRun; r += 2, lines += kLine) {
    const I even = nearest_i(mul(row(r), inverse)), odd = nearest_i(mul(row(r + 1), inverse));
    store_line(lines, or_i(and_i(even, 0xffff), left<16>(odd)));
  }
}

inline void code_columns(const float* x, int64_t stride, int64_t rows, int64_t columns, const ColumnCodes& out,
                         base::ThreadPool& pool) {
  pool.parallel_for(base::ceil_div(columns, kStrip), 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s)
      for (int64_t run = 0; run < out.runs; ++run)
        code_run(x + run * kCrossRun * stride + s * kStrip, stride, std::min(kCrossRun, rows - run * kCrossRun),
                 columns - s * kStrip, out.strip(s) + run * kCrossRun / 2 * kLine, out.scales_of(s) + run * kStrip);
  });
}

// sums[i][j] += the products of kCrossRows columns of a, from `lane` of a strip on, and `strips` strips of b.
template <int strips>
AQ_INLINE void multiply_columns(const ColumnCodes& a, int64_t a_strip, int64_t lane, const ColumnCodes& b, int64_t b_strip,
                                float (&sums)[kCrossRows][strips][16]) {
  const std::byte* left_codes = a.strip(a_strip) + lane * 4;
  const std::byte* right_codes = b.strip(b_strip);
  const int64_t next = b.strip(1) - b.strip(0);
  for (int64_t run = 0; run < a.runs; ++run) {
    I sum[kCrossRows][strips];
#pragma GCC unroll 8
    for (int i = 0; i < kCrossRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < strips; ++j) sum[i][j] = set_i(0);
    for (int64_t pair = 0; pair < kCrossRun / 2; ++pair, left_codes += kLine, right_codes += kLine) {
      I right[strips];
#pragma GCC unroll 4
      for (int j = 0; j < strips; ++j) right[j] = line(right_codes + j * next);
#pragma GCC unroll 8
      for (int i = 0; i < kCrossRows; ++i) {
        const I codes = set_i(base::load<int32_t>(left_codes + i * 4));
#pragma GCC unroll 4
        for (int j = 0; j < strips; ++j) sum[i][j] = dot16(sum[i][j], right[j], codes);
      }
    }
    const float* scales = a.scales_of(a_strip) + run * kStrip + lane;
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) {
      const V scale = load(b.scales_of(b_strip + j) + run * kStrip);
#pragma GCC unroll 8
      for (int i = 0; i < kCrossRows; ++i)
        store(sums[i][j], fma(to_float(sum[i][j]), mul(set(scales[i]), scale), load(sums[i][j])));
    }
  }
}

// out's rows [row, row + kCrossRows) at `strips` strips of columns, as far as they are there.
template <int strips = kTileStrips>
void add_columns(const CrossProduct& p, const ColumnCodes& a, int64_t row, const ColumnCodes& b, int64_t strip,
                 int64_t wanted) {
  if constexpr (strips > 1) {
    if (wanted < strips) return add_columns<strips - 1>(p, a, row, b, strip, wanted);
  }
  alignas(64) float sums[kCrossRows][strips][16] = {};
  multiply_columns<strips>(a, row / kStrip, row % kStrip, b, strip, sums);
  for (int64_t i = 0; i < std::min<int64_t>(kCrossRows, p.a_cols - row); ++i)
    for (int64_t j = 0; j < strips; ++j) {
      const int64_t col = (strip + j) * kStrip, count = std::min(kStrip, p.b_cols - col);
      float* out = p.out + (row + i) * p.out_row + col;
      store_n(out, add(load_n(out, count), load(sums[i][j])), count);
    }
}

// The corner of out at (row, col), of kCrossTile rows and columns.
inline void add_corner(const CrossProduct& p, const ColumnCodes& a, int64_t row, const ColumnCodes& b, int64_t col) {
  const int64_t strips = base::ceil_div(std::min(p.b_cols, col + kCrossTile), kStrip);
  for (int64_t strip = col / kStrip; strip < strips; strip += kTileStrips)
    for (int64_t r = row; r < std::min(p.a_cols, row + kCrossTile); r += kCrossRows)
      if (!p.lower || r + kCrossRows > strip * kStrip)
        add_columns(p, a, r, b, strip, std::min<int64_t>(kTileStrips, strips - strip));
}

inline void add_cross(const CrossProduct& p, base::ThreadPool& pool) {
  static thread_local Scratch a_lines, a_scales, b_lines, b_scales;
  const int64_t runs = base::ceil_div(std::min(p.rows, kCrossPiece), kCrossRun);
  const auto room = [runs](int64_t columns, Scratch& lines, Scratch& scales) {
    const int64_t strips = base::ceil_div(columns, kStrip);
    return ColumnCodes{lines.get<std::byte>(strips * runs * kCrossRun / 2 * kLine), scales.get<float>(strips * runs * kStrip),
                       runs};
  };
  const bool same = p.a == p.b && p.a_row == p.b_row && p.a_cols == p.b_cols;
  const ColumnCodes a = room(p.a_cols, a_lines, a_scales), b = same ? a : room(p.b_cols, b_lines, b_scales);
  const int64_t down = base::ceil_div(p.a_cols, kCrossTile), across = base::ceil_div(p.b_cols, kCrossTile);
  for (int64_t first = 0; first < p.rows; first += kCrossPiece) {
    code_columns(p.a + first * p.a_row, p.a_row, std::min(kCrossPiece, p.rows - first), p.a_cols, a, pool);
    if (!same) code_columns(p.b + first * p.b_row, p.b_row, std::min(kCrossPiece, p.rows - first), p.b_cols, b, pool);
    std::atomic<int64_t> next{0};
    pool.run([&](int) {
      for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < down * across;)
        if (!p.lower || i % across <= i / across) add_corner(p, a, i / across * kCrossTile, b, i % across * kCrossTile);
    });
  }
}
