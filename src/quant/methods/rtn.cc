// Round to nearest: each block's scale from its own values, then the nearest code. With `mse` the scale is
// the one that fits the block best (scale_search.h), weighted by the importance of the input columns where it
// is known.
//
// Scales are rounded to their stored format before codes are chosen, so codes are nearest for what readers
// will see.
//   symmetric, none:  max|w| / largest code
//   symmetric, mse:   shrink factors 1 … 0.5 of that, for integers with either sign (a negative scale gives
//   the one
//                     code more of the negative side to the positive values) and with the extreme value on
//                     that code. Readers multiply by the scale, whatever its sign
//   asymmetric:       (max − min) / codes with 0 inside the range and an integer zero-point, so 0 stays exact
//   flat + double quantization: bitsandbytes' NF4 and FP4. `none` chooses codes from the unrounded absmax as
//                     bitsandbytes does; `mse` searches the absmax and uses the one that readers will see
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "quant/method.h"
#include "quant/methods/double_quantization.h"
#include "quant/methods/scale_search.h"

namespace aquatint::quant {
namespace {

using numeric::Granularity;
using numeric::Kind;

constexpr int kShrinkSteps =
    10;  // 16 steps lower the error of Gaussian weights by another 0.05 %, 6 raise it by 0.2 %

// One call of rtn: the matrix cut into the blocks of `shape`.
struct Job {
  std::span<const float> weights;
  const tensor::QuantizedMatrix& shape;
  const numeric::WeightScheme& scheme;
  const MethodOptions& options;
  base::ThreadPool& pool;
  int64_t count;                     // of blocks
  float divisor = 1;                 // of every scale, see Scales::super_divides
  std::vector<float> scales, zeros;  // per block, scales in their stored format unless double quantized

  // Values of a block that is not cut short.
  int64_t length() const {
    return shape.flat_block > 0
               ? shape.flat_block
               : std::min(shape.block_rows, shape.rows) * std::min(shape.block_cols, shape.cols);
  }
  // Calls visit(index, count) for each run of neighbours of a block.
  template <class Visit>
  void each_run(int64_t block, Visit visit) const {
    if (shape.flat_block > 0) {
      const int64_t begin = block * shape.flat_block;
      return visit(begin, std::min(shape.flat_block, static_cast<int64_t>(weights.size()) - begin));
    }
    const int64_t row = block / shape.blocks_per_row() * shape.block_rows;
    const int64_t col = block % shape.blocks_per_row() * shape.block_cols;
    for (int64_t r = row; r < std::min(row + shape.block_rows, shape.rows); ++r)
      visit(r * shape.cols + col, std::min(shape.block_cols, shape.cols - col));
  }
  bool searched() const { return options.clip == Clip::mse; }

  // What the largest magnitude of a block asks for.
  float full_scale(float largest) const {
    if (scheme.scale_format == &numeric::e8m0) return numeric::mx_scale(largest, *scheme.format);
    return largest / scheme.format->max;
  }
  // The nearest scale that can be stored and divided by.
  float round_scale(float scale) const {
    const numeric::Format& format = scheme.double_quantized ? numeric::fp32 : *scheme.scale_format;
    const float smallest = std::max(format.smallest, 0x1p-120f);
    const float magnitude = std::clamp(std::fabs(scale) * divisor, smallest, format.max);
    const float rounded = format.decode(format.encode(magnitude)) / divisor;
    return scale < 0 ? -rounded : rounded;
  }
};

// A block's values and importance copied beside each other and padded with zeros.
class BlockCopy {
 public:
  explicit BlockCopy(const Job& job)
      : job_(job), values_(static_cast<size_t>(base::round_up(job.length(), kLanes))) {
    if (!job.options.importance.empty()) importance_.resize(values_.size());
  }
  Block load(int64_t block) {
    size_t at = 0;
    job_.each_run(block, [&](int64_t begin, int64_t size) {
      std::copy_n(job_.weights.begin() + begin, size, values_.begin() + static_cast<int64_t>(at));
      for (int64_t i = 0; i < size && !importance_.empty(); ++i)
        importance_[at + static_cast<size_t>(i)] =
            job_.options.importance[static_cast<size_t>((begin + i) % job_.shape.cols)];
      at += static_cast<size_t>(size);
    });
    std::fill(values_.begin() + static_cast<int64_t>(at), values_.end(), 0.0f);
    return {values_.data(), importance_.empty() ? nullptr : importance_.data(),
            static_cast<int64_t>(values_.size())};
  }

 private:
  const Job& job_;
  std::vector<float> values_, importance_;
};

struct Range {
  float min = 0, max = 0;  // 0 lies inside
  float extreme() const { return -min > max ? min : max; }
};

Range range_of(const Block& block) {
  Range range;
  for (int64_t i = 0; i < block.padded; ++i) {
    range.min = std::min(range.min, block.values[i]);
    range.max = std::max(range.max, block.values[i]);
  }
  return range;
}

template <class Grid>
Chosen search_symmetric(const Job& job, const Block& block, const Grid& grid, float extreme) {
  const float full = job.full_scale(std::fabs(extreme));
  Chosen best;
  for (int step = 0; step <= kShrinkSteps; ++step) {
    const float scale = job.round_scale(full * (1.0f - 0.5f * static_cast<float>(step) / kShrinkSteps));
    consider(block, grid, scale, 0, best);
    if constexpr (std::is_same_v<Grid, IntegerGrid>) consider(block, grid, -scale, 0, best);
  }
  if constexpr (std::is_same_v<Grid, IntegerGrid>)
    consider(block, grid, job.round_scale(extreme / grid.low), 0, best);
  return best;
}

template <class Grid>
void symmetric_scales(Job& job, const Grid& grid) {
  job.pool.parallel_for(job.count, 16, [&](int64_t first, int64_t last) {
    BlockCopy copy(job);
    for (int64_t b = first; b < last; ++b) {
      const Block block = copy.load(b);
      const float extreme = range_of(block).extreme();
      float& scale = job.scales[static_cast<size_t>(b)];
      if (extreme == 0)
        scale = job.scheme.double_quantized ? 0.0f : job.round_scale(1);
      else if (job.searched())
        scale = search_symmetric(job, block, grid, extreme).scale;
      else
        scale = job.scheme.double_quantized ? std::fabs(extreme)
                                            : job.round_scale(job.full_scale(std::fabs(extreme)));
    }
  });
}

// The zero-point whose value is nearest to 0, inside the codes.
float zero_for(const IntegerGrid& grid, float min, float scale) {
  return std::clamp(std::nearbyint(grid.low - min / scale), grid.low, grid.high);
}

Chosen search_asymmetric(const Job& job, const Block& block, const IntegerGrid& grid, const Range& range) {
  const float codes = grid.high - grid.low;
  Chosen best;
  for (int step = 0; step <= kShrinkSteps; ++step) {
    const float factor = 1.0f - 0.5f * static_cast<float>(step) / kShrinkSteps;
    const float scale = job.round_scale((range.max - range.min) * factor / codes);
    const float zero = zero_for(grid, range.min * factor, scale);
    for (const float z : {zero, zero - 1, zero + 1})
      if (grid.low <= z && z <= grid.high) consider(block, grid, scale, z, best);
  }
  return best;
}

void asymmetric_scales(Job& job, const IntegerGrid& grid) {
  job.zeros.resize(static_cast<size_t>(job.count));
  job.pool.parallel_for(job.count, 16, [&](int64_t first, int64_t last) {
    BlockCopy copy(job);
    for (int64_t b = first; b < last; ++b) {
      const Block block = copy.load(b);
      const Range range = range_of(block);
      Chosen chosen;
      if (range.min < range.max) {
        chosen.scale = job.round_scale((range.max - range.min) / (grid.high - grid.low));
        chosen.zero = zero_for(grid, range.min, chosen.scale);
        if (job.searched()) chosen = search_asymmetric(job, block, grid, range);
      }
      job.scales[static_cast<size_t>(b)] = chosen.scale;
      job.zeros[static_cast<size_t>(b)] = chosen.zero;
    }
  });
}

// What each value is multiplied or divided by before the nearest code is taken. bitsandbytes multiplies by
// the reciprocal; the others divide, as compressed-tensors does.
template <class Grid>
void choose_codes(const Job& job, const Grid& grid, uint8_t* codes) {
  constexpr bool multiplies = std::is_same_v<Grid, TableGrid>;
  const uint32_t mask = (1u << job.scheme.format->bits) - 1;
  job.pool.parallel_for(job.count, 16, [&](int64_t first, int64_t last) {
    BlockCopy copy(job);
    std::vector<uint8_t> found(static_cast<size_t>(base::round_up(job.length(), kLanes)));
    for (int64_t b = first; b < last; ++b) {
      const Block block = copy.load(b);
      const float scale = job.scales[static_cast<size_t>(b)];
      const float zero = job.zeros.empty() ? 0.0f : job.zeros[static_cast<size_t>(b)];
      const float inverse = 1.0f / std::max(scale, 1e-38f);
      for (int64_t i = 0; i < block.padded; i += kLanes) {
        Lanes value, nearest;
        std::memcpy(&value, block.values + i, sizeof value);
        grid.nearest(multiplies ? value * inverse : value / scale + zero, nearest);
        for (int64_t lane = 0; lane < kLanes; ++lane)
          found[static_cast<size_t>(i + lane)] = grid.code(nearest[lane], mask);
      }
      const uint8_t* next = found.data();
      job.each_run(b, [&](int64_t begin, int64_t size) {
        std::memcpy(codes + begin, next, static_cast<size_t>(size));
        next += size;
      });
    }
  });
}

// compressed-tensors' rule: the largest weight's block gets E4M3's largest scale.
float tensor_divisor(const Job& job) {
  float largest = job.options.largest;
  for (size_t i = 0; i < job.weights.size() && job.options.largest == 0; ++i)
    largest = std::max(largest, std::fabs(job.weights[i]));
  const float divisor = job.scheme.scale_format->max * job.scheme.format->max / largest;
  return std::isfinite(divisor) ? divisor : 1.0f;
}

// Into the codes that the matrix has room for.
void store_scales(const Job& job, tensor::Scales& scales) {
  const auto bytes = static_cast<size_t>(scales.format->bytes());
  for (size_t i = 0; i < job.scales.size(); ++i) {
    const uint32_t code = scales.format->encode(job.scales[i] * job.divisor);
    std::memcpy(scales.codes.mutable_u8() + i * bytes, &code, bytes);
  }
  if (scales.super_divides) base::store(scales.super.mutable_u8(), job.divisor);
}

template <class Grid>
void quantize_on(Job& job, const Grid& grid, tensor::QuantizedMatrix& matrix) {
  if constexpr (std::is_same_v<Grid, IntegerGrid>) {
    if (!job.scheme.symmetric) asymmetric_scales(job, grid);
  }
  if (job.zeros.empty()) symmetric_scales(job, grid);
  if (job.scheme.double_quantized) {
    matrix.scales = double_quantize(job.scales);
    for (int64_t b = 0; b < job.count && job.searched(); ++b)
      job.scales[static_cast<size_t>(b)] = matrix.scales.at(b);
  } else {
    store_scales(job, matrix.scales);
  }
  choose_codes(job, grid, matrix.codes.mutable_u8());
  for (size_t b = 0; b < job.zeros.size(); ++b) matrix.zero_points[b] = static_cast<int16_t>(job.zeros[b]);
}

tensor::QuantizedMatrix quantize(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const numeric::WeightScheme& scheme, const MethodOptions& options,
                                 base::ThreadPool& pool) {
  AQ_CHECK(static_cast<int64_t>(weights.size()) == rows * cols && rows > 0 && cols > 0, "{} x {}", rows,
           cols);
  AQ_CHECK(options.importance.empty() || static_cast<int64_t>(options.importance.size()) == cols,
           "importance");
  const numeric::Format& format = *scheme.format;
  if (format.bits > 8 || scheme.minima || (!scheme.symmetric && format.kind != Kind::integer))
    throw base::BadUsage(
        fmt::format("rtn: no rule for {}{} weights", scheme.symmetric ? "" : "asymmetric ", format.name));
  tensor::QuantizedMatrix matrix = empty_matrix(rows, cols, scheme);
  Job job{weights, matrix, scheme, options, pool, matrix.blocks(), 1, {}, {}};
  job.scales.resize(static_cast<size_t>(job.count));
  if (scheme.has_divisor()) job.divisor = tensor_divisor(job);
  switch (format.kind) {
    case Kind::integer:
      quantize_on(job, IntegerGrid{-format.max - 1, format.max}, matrix);
      break;
    case Kind::floating:
      quantize_on(job, FloatGrid(format), matrix);
      break;
    case Kind::codebook:
      quantize_on(job, TableGrid(format), matrix);
      break;
  }
  return matrix;
}

}  // namespace

const Method rtn = {"rtn", "round to nearest on scales from the weights alone; needs no calibration",
                    quantize};

}  // namespace aquatint::quant
