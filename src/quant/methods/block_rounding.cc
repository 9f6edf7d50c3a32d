#include "quant/methods/block_rounding.h"

#include <algorithm>

#include "base/error.h"
#include "quant/methods/double_quantization.h"

namespace aquatint::quant {
namespace {

// One matrix cut into the blocks of `shape`.
struct Job {
  std::span<const float> weights;
  const tensor::QuantizedMatrix& shape;
  const BlockRule& rule;
  std::span<const float> importance;
  base::ThreadPool& pool;
  int64_t count;                     // of blocks
  std::vector<float> scales, zeros;  // per block; zeros only for asymmetric schemes

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
};

Block load(const Job& job, int64_t block, BlockCopy& copy) {
  int64_t at = 0;
  job.each_run(block, [&](int64_t begin, int64_t size) {
    std::copy_n(job.weights.begin() + begin, size, copy.values() + at);
    for (int64_t i = 0; i < size && !job.importance.empty(); ++i)
      copy.importance()[at + i] = job.importance[static_cast<size_t>((begin + i) % job.shape.cols)];
    at += size;
  });
  return copy.block(at);
}

void choose_scales(Job& job, const ChooseScale& choose) {
  job.pool.parallel_for(job.count, 16, [&](int64_t first, int64_t last) {
    BlockCopy copy(job.length(), !job.importance.empty());
    for (int64_t b = first; b < last; ++b) {
      const BlockScale chosen = choose(load(job, b, copy));
      job.scales[static_cast<size_t>(b)] = chosen.scale;
      if (!job.zeros.empty()) job.zeros[static_cast<size_t>(b)] = chosen.zero;
    }
  });
}

void choose_codes(const Job& job, uint8_t* codes) {
  job.pool.parallel_for(job.count, 16, [&](int64_t first, int64_t last) {
    const auto length = static_cast<size_t>(job.length());
    std::vector<float> scales(length), zeros(job.zeros.empty() ? 0 : length);
    for (int64_t b = first; b < last; ++b) {
      std::fill(scales.begin(), scales.end(), job.scales[static_cast<size_t>(b)]);
      if (!zeros.empty()) std::fill(zeros.begin(), zeros.end(), job.zeros[static_cast<size_t>(b)]);
      job.each_run(b, [&](int64_t begin, int64_t size) {
        job.rule.round(job.weights.data() + begin, scales.data(), zeros.empty() ? nullptr : zeros.data(),
                       size, codes + begin, nullptr);
      });
    }
  });
}

// With `none`, codes come from the unrounded absmax, as bitsandbytes chooses them; searched scales are the
// ones that readers will see.
void double_quantize_scales(Job& job, Clip clip, tensor::QuantizedMatrix& matrix) {
  matrix.scales = double_quantize(job.scales);
  for (int64_t b = 0; b < job.count && clip == Clip::mse; ++b)
    job.scales[static_cast<size_t>(b)] = matrix.scales.at(b);
}

}  // namespace

tensor::QuantizedMatrix round_blocks(std::span<const float> weights, int64_t rows, int64_t cols,
                                     const numeric::WeightScheme& scheme, const MethodOptions& options,
                                     const BlockRule& rule, float divisor, const ChooseScale& choose,
                                     base::ThreadPool& pool) {
  AQ_CHECK(static_cast<int64_t>(weights.size()) == rows * cols && rows > 0 && cols > 0, "{} x {}", rows,
           cols);
  AQ_CHECK(options.importance.empty() || static_cast<int64_t>(options.importance.size()) == cols,
           "importance");
  tensor::QuantizedMatrix matrix = empty_matrix(rows, cols, scheme);
  Job job{weights, matrix, rule, options.importance, pool, matrix.blocks(), {}, {}};
  job.scales.resize(static_cast<size_t>(job.count));
  job.zeros.resize(scheme.symmetric ? 0 : job.scales.size());
  choose_scales(job, choose);
  if (scheme.double_quantized)
    double_quantize_scales(job, options.clip, matrix);
  else
    store_scales(job.scales, divisor, matrix);
  store_zeros(job.scales, job.zeros, matrix);
  choose_codes(job, matrix.codes.mutable_u8());
  return matrix;
}

}  // namespace aquatint::quant
