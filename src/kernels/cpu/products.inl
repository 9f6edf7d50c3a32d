// Dense products of floats or doubles over the register tile. Included inside an instruction set's namespace.

// The last columns, fewer than a strip: in copies with whole strips.
template <class T>
void add_narrow_product(const Product<T>& p) {
  constexpr int64_t kLanes = kLanesOf<T>;
  std::vector<T> b(static_cast<size_t>(p.depth * kLanes)), c(static_cast<size_t>(p.rows * kLanes));
  for (int64_t k = 0; k < p.depth; ++k) std::copy_n(p.b + k * p.b_row, p.cols, b.data() + k * kLanes);
  for (int64_t i = 0; i < p.rows; ++i) std::copy_n(p.c + i * p.c_row, p.cols, c.data() + i * kLanes);
  tiles(p.rows, 1, TileArgsOf<T>{p.a, p.a_row, b.data(), kLanes, kLanes, p.depth, c.data(), kLanes, false});
  for (int64_t i = 0; i < p.rows; ++i) std::copy_n(c.data() + i * kLanes, p.cols, p.c + i * p.c_row);
}

// Callers cut rows, columns and depth so that their pieces stay in the cache; chains go on where they were.
template <class T>
void add_product(const Product<T>& p) {
  constexpr int64_t kLanes = kLanesOf<T>;
  const int64_t strips = p.cols / kLanes;
  for (int64_t strip = 0; strip < strips; strip += kTileStrips) {
    const int64_t first = strip * kLanes;
    tiles(p.rows, std::min<int64_t>(kTileStrips, strips - strip),
          TileArgsOf<T>{p.a, p.a_row, p.b + first, p.b_row, kLanes, p.depth, p.c + first, p.c_row, false});
  }
  if (const int64_t done = strips * kLanes; done < p.cols)
    add_narrow_product(Product<T>{p.a, p.a_row, p.b + done, p.b_row, p.c + done, p.c_row, p.rows, p.cols - done, p.depth});
}
