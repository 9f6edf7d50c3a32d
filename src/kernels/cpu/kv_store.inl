// New keys and values into a cache (kv_layout.h), the same bits as ref::store_kv; included inside an
// instruction set's namespace.

// One position of one head as codes of 8, 16 or 32 bits, one each in the low bits of `codes`; returns the
// scale: `calibrated`, or, where that is 0, the row's own.
inline float encode_row(KvFormat format, const float* x, int64_t dim, float calibrated, uint32_t* codes) {
  if (format == KvFormat::fp32) {
    std::memcpy(codes, x, static_cast<size_t>(dim) * 4);
    return 1;
  }
  if (format == KvFormat::bf16) {
    by_vector(dim, [&](int64_t i, int64_t n) {
      store_n(reinterpret_cast<float*>(codes) + i, round_bf16(load_n(x + i, n)), n);
    });
    for (int64_t i = 0; i < dim; ++i) codes[i] >>= 16;
    return 1;
  }
  V most = zero();
  by_vector(dim, [&](int64_t i, int64_t n) { most = max(most, abs(load_n(x + i, n))); });
  const float scale = calibrated > 0 ? calibrated : kv_scale(format, largest(most));
  const bool integer = format == KvFormat::int8;
  const V high = set(integer ? 127.0f : 448.0f), low = set(integer ? -128.0f : -448.0f);
  by_vector(dim, [&](int64_t i, int64_t n) {
    const V y = max(min(div(load_n(x + i, n), set(scale)), high), low);
    const V code = integer ? add(nearest(y), set(0x1.8p23f)) : nearest_e4m3(abs(y));
    store_n(reinterpret_cast<float*>(codes) + i, code, n);
  });
  if (integer) {  // the low bits of n + 1.5 · 2^23 are n
    for (int64_t i = 0; i < dim; ++i) codes[i] &= 0xff;
    return scale;
  }
  for (int64_t i = 0; i < dim; ++i) {
    const auto value = __builtin_bit_cast(float, codes[i]);
    const uint32_t normal = (codes[i] >> 20) - (120u << 3);
    const auto tiny = static_cast<uint32_t>(static_cast<int32_t>(value * 0x1p9f));
    const uint32_t sign = __builtin_bit_cast(uint32_t, x[i]) >> 31 << 7;
    codes[i] = sign | (value < 0x1p-6f ? tiny : normal);
  }
  return scale;
}

template <class Code>
void put_key(std::byte* data, const KvPlane& plane, int64_t position, int64_t dim, const uint32_t* codes) {
  std::byte* to = data + plane.key_strip(position) + position % kKvStrip * 4;
  Code lane[4 / sizeof(Code)];
  for (int64_t d = 0; d < dim; d += plane.per_lane, to += kKvLine) {
    for (int64_t i = 0; i < plane.per_lane; ++i) lane[i] = d + i < dim ? static_cast<Code>(codes[d + i]) : Code{0};
    std::memcpy(to, lane, 4);
  }
}

template <class Code>
void put_value(std::byte* data, const KvPlane& plane, int64_t position, int64_t dim, const uint32_t* codes) {
  std::byte* to = data + plane.value_group(position) +
                  position % plane.per_lane * static_cast<int64_t>(sizeof(Code));
  for (int64_t d = 0; d < dim; ++d, to += 4) base::store(to, static_cast<Code>(codes[d]));
}

// A row of keys or of values.
inline float put_row(std::byte* data, const KvPlane& plane, KvFormat format, bool key, int64_t position,
                     const float* x, int64_t dim, float calibrated = 0) {
  static thread_local Scratch scratch;
  uint32_t* codes = scratch.get<uint32_t>(base::round_up(dim, 16));
  const float scale = encode_row(format, x, dim, calibrated, codes);
  const auto put = [&](auto code) {
    using Code = decltype(code);
    (key ? put_key<Code> : put_value<Code>)(data, plane, position, dim, codes);
  };
  if (plane.per_lane == 1) put(uint32_t{});
  if (plane.per_lane == 2) put(uint16_t{});
  if (plane.per_lane == 4) put(uint8_t{});
  return scale;
}

// 4-bit codes of x[count] under one pair, which is stored at `pair`.
inline void quantize_run(const float* x, int64_t count, std::byte* pair, uint8_t* codes) {
  const auto [least, most] = std::minmax_element(x, x + count);
  const float low = *least, high = *most;
  const uint16_t minimum = numeric::float_to_bf16(low);
  uint16_t scale = numeric::float_to_bf16((high - low) / 15);
  if (scale == 0) scale = numeric::float_to_bf16(std::numeric_limits<float>::epsilon());
  base::store(pair, scale);
  base::store(pair + 2, minimum);
  const float from = numeric::bf16_to_float(minimum), unit = numeric::bf16_to_float(scale);
  for (int64_t i = 0; i < count; ++i)
    codes[i] = static_cast<uint8_t>(std::clamp(std::nearbyint((x[i] - from) / unit), 0.0f, 15.0f));
}

// Eight codes as a lane.
inline uint32_t join_codes(const uint8_t* codes, int64_t step) {
  uint32_t lane = 0;
  for (int64_t i = 0; i < 8; ++i) lane |= uint32_t{codes[i * step]} << kv_code_bit(8, i);
  return lane;
}

// A whole group of int4, out of the rings.
inline void quantize_group(const KvHead& head, int64_t begin) {
  static thread_local Scratch value_scratch, code_scratch;
  const int64_t dim = head.dim, width = base::round_up(dim, 16), depth = base::round_up(dim, 8);
  const KvLayout& l = head.blocks.layout;
  const auto [data, at] = head.blocks.at(begin);
  float* values = value_scratch.get<float>(kKvGroup * width);
  uint8_t* codes = code_scratch.get<uint8_t>(kKvGroup * width);
  const KvPiece piece = head.piece(begin, true);

  // Keys as a panel [strip][depth][16 positions]
  std::memset(codes, 0, static_cast<size_t>(kKvGroup * width));
  key_panel<KvFormat::bf16>(piece, kKvGroup / 16, width, values);
  alignas(64) float column[kKvGroup];
  uint8_t column_codes[kKvGroup];
  for (int64_t d = 0; d < dim; ++d) {
    for (int64_t p = 0; p < kKvGroup; ++p) column[p] = values[(p / 16 * width + d) * 16 + p % 16];
    quantize_run(column, kKvGroup, data + l.key_pairs(at) + d * 4, column_codes);
    for (int64_t p = 0; p < kKvGroup; ++p) codes[p * width + d] = column_codes[p];
  }
  for (int64_t p = 0; p < kKvGroup; ++p)
    for (int64_t d = 0; d < depth; d += 8)
      base::store(data + l.codes.key_lane(at + p, d), join_codes(codes + p * width + d, 1));

  value_panel<KvFormat::bf16>(piece, kKvGroup, width, values);
  for (int64_t p = 0; p < kKvGroup; ++p)
    quantize_run(values + p * width, dim, data + l.value_scales + (at + p) * 4, codes + p * width);
  for (int64_t p = 0; p < kKvGroup; p += 8)
    for (int64_t d = 0; d < dim; ++d)
      base::store(data + l.codes.value_lane(at + p, d), join_codes(codes + p * width + d, width));
}

// A span's rows of one head at positions [begin, end).
inline void store_head(const AttentionSpan& span, const AttentionShape& shape, int64_t i, int64_t begin,
                       int64_t end, const float* k, const float* v, int64_t stride) {
  const KvHead head = kv_head(span.cache, shape, i);
  const KvBlocks& blocks = head.blocks;
  const KvLayout& l = blocks.layout;
  const KvFormat format = head.format();
  for (int64_t position = begin; position < end; ++position) {
    const int64_t from = (span.first_row + position - span.position) * stride + i * shape.head_dim;
    if (format == KvFormat::int4) {
      const int64_t slot = position % blocks.recent;
      put_row(blocks.rings, blocks.ring, KvFormat::bf16, true, slot, k + from, shape.head_dim);
      put_row(blocks.rings, blocks.ring, KvFormat::bf16, false, slot, v + from, shape.head_dim);
      if ((position + 1) % kKvGroup == 0) quantize_group(head, position + 1 - kKvGroup);
      continue;
    }
    const auto [data, at] = blocks.at(position);
    const float key_scale =
        put_row(data, l.codes, format, true, at, k + from, shape.head_dim, shape.key_scale);
    const float value_scale =
        put_row(data, l.codes, format, false, at, v + from, shape.head_dim, shape.value_scale);
    if (format == KvFormat::fp32 || format == KvFormat::bf16) continue;
    base::store(data + l.key_scales + at * 4, key_scale);
    base::store(data + l.value_scales + at * 4, value_scale);
  }
}

inline void store_span(const AttentionSpan& span, const AttentionShape& shape, const float* k, const float* v,
                       int64_t stride, base::ThreadPool& pool) {
  // Whole groups of positions, so that no two threads write one lane or one group.
  const int64_t first = span.position / kKvGroup, last = span.position + span.rows;
  const int64_t groups = base::ceil_div(last, kKvGroup) - first;
  AQ_CHECK(span.cache.format != KvFormat::int4 || span.rows <= kKvRows);
  const int64_t tasks = groups * shape.kv_heads;
  pool.parallel_for(tasks, span.rows < 16 ? tasks : 1, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      const int64_t group = (first + i % groups) * kKvGroup;
      store_head(span, shape, i / groups, std::max(span.position, group), std::min(last, group + kKvGroup), k,
                 v, stride);
    }
  });
}

inline void store_kv(const Spans& spans, const AttentionShape& shape, const float* k, const float* v, int64_t stride,
                     base::ThreadPool& pool) {
  for (const AttentionSpan& span : spans.list) store_span(span, shape, k, v, stride, pool);
}
