#include "kernels/packed.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/arena.h"
#include "kernels/input_rounding.h"

namespace aquatint::kernels {

std::unique_ptr<PackedMatrix> pack_strips(std::span<const tensor::QuantizedMatrix* const> parts,
                                          Precision precision, base::ThreadPool& pool) {
  AQ_CHECK(!parts.empty());
  auto packed = std::make_unique<Packed>();
  packed->in_features = parts[0]->cols;
  packed->depth = base::round_up(packed->in_features, kDepthUnit);
  packed->precision = precision;
  packed->input = parts[0]->input;
  check_input_scheme(packed->input);
  for (const tensor::QuantizedMatrix* part : parts) {
    AQ_CHECK(part->cols == packed->in_features && part->input == packed->input, "parts share their input");
    Block& b = packed->blocks.emplace_back(plan_block(*part, precision, packed->depth));
    b.first_row = packed->out_features;
    b.first_strip = packed->strips;
    packed->out_features += b.rows;
    packed->strips += b.strips;
    packed->total_bytes += static_cast<uint64_t>(b.strips * b.strip_bytes);
  }
  packed->memory = arena_allocate(packed->total_bytes);
  std::byte* at = packed->memory.get();
  for (Block& b : packed->blocks) {
    b.data = at;
    at += b.strips * b.strip_bytes;
  }
  // Strips are split between threads as linear() splits them, so each thread first touches what it will read.
  pool.parallel_for(packed->strips, 1, [&](int64_t begin, int64_t end) {
    for (size_t i = 0; i < parts.size(); ++i) {
      const Block& b = packed->blocks[i];
      const int64_t last = std::min(b.strips, end - b.first_strip);
      for (int64_t s = std::max<int64_t>(0, begin - b.first_strip); s < last; ++s)
        fill_strip(*parts[i], b, s);
    }
  });
  return packed;
}

}  // namespace aquatint::kernels
