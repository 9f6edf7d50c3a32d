#include "quant/methods/feedback_rounding.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "quant/input_statistics.h"
#include "quant/methods/columns_behind.h"

namespace aquatint::quant {
namespace {

constexpr int64_t kSlab = 32;    // rows that one thread takes through a stretch of columns
constexpr int64_t kRows = 2048;  // that are on their way at a time
// Columns of a stretch at most, where a device takes the errors of a stretch on: what is left for the host.
constexpr int64_t kDeviceStretch = 512;

// What all rows share.
struct Job {
  std::span<const float> weights;
  int64_t cols, group;  // group: columns under a scale
  int64_t block, stretch;
  const BlockRule& rule;
  const ChooseGroupScale& choose;
  const Feedback& feedback;
  const model::Backend& backend;
  bool static_groups;
  tensor::QuantizedMatrix& matrix;
  std::vector<float> scales,
      zeros;  // [rows][cols / group], filled as groups come; zeros for asymmetric schemes

  int64_t groups() const { return cols / group; }
};

// Columns [begin, end) in the order of turns.
struct Stretch {
  int64_t begin, end;
};

// Some rows on their way through the columns.
struct Rows {
  int64_t first, count;
  base::HugeVector<float> w;  // [count][cols] in the order of turns
  base::HugeVector<float>
      errors;  // [columns of a stretch][count], negated; empty where one stretch has them all
};

// kSlab of these on their way through a stretch.
class Slab {
 public:
  Slab(Job& job, Rows& all, int64_t from, const Stretch& stretch)
      : job_(job),
        all_(all),
        stretch_(stretch),
        from_(from),
        first_(all.first + from),
        rows_(std::min(kSlab, all.count - from)),
        w_(all.w.data() + from * job.cols),
        tile_(static_cast<size_t>(kSlab * job.block)),
        errors_(static_cast<size_t>(kSlab * job.block)),
        group_copy_(job.group, true) {
    std::fill_n(scale_, kSlab, 1.0f);
  }

  void run() {
    if (!job_.static_groups && stretch_.begin % job_.group != 0) read_scales(stretch_.begin);
    for (int64_t begin = stretch_.begin; begin < stretch_.end; begin += job_.block) {
      const int64_t end = std::min(stretch_.end, begin + job_.block);
      load_tile(begin, end);
      for (int64_t p = begin; p < end; ++p) round_column(begin, p, end);
      job_.backend.host_kernels().add_product(
          {errors_.data(), job_.block, job_.feedback.upper.data() + begin * job_.cols + end, job_.cols,
           w_ + end, job_.cols, rows_, stretch_.end - end, end - begin});
    }
  }

 private:
  using Column = float[kSlab];

  float* column(int64_t i) { return tile_.data() + i * kSlab; }

  void load_tile(int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t r = 0; r < kSlab; ++r) column(p - begin)[r] = r < rows_ ? w_[r * job_.cols + p] : 0.0f;
  }

  void round_column(int64_t begin, int64_t p, int64_t end) {
    const int64_t c = job_.feedback.order[static_cast<size_t>(p)];
    if (job_.static_groups)
      read_scales(c);
    else if (p % job_.group == 0)
      choose_scales(begin, p, end);
    float* w = column(p - begin);
    Column rounded;
    uint8_t codes[kSlab];
    job_.rule.round(w, scale_, job_.zeros.empty() ? nullptr : zero_, kSlab, codes, rounded);
    for (int64_t r = 0; r < rows_; ++r)
      job_.matrix.codes.mutable_u8()[(first_ + r) * job_.cols + c] = codes[r];
    Column error;
    for (int64_t r = 0; r < kSlab; ++r) {
      error[r] = w[r] - rounded[r];
      errors_[static_cast<size_t>(r * job_.block + p - begin)] = -error[r];
    }
    if (!all_.errors.empty())
      for (int64_t r = 0; r < rows_; ++r)
        all_.errors[static_cast<size_t>((p - stretch_.begin) * all_.count + from_ + r)] = -error[r];
    const float* feedback = job_.feedback.upper.data() + p * job_.cols;
    for (int64_t k = p + 1; k < end; ++k) {
      float* later = column(k - begin);
      for (int64_t r = 0; r < kSlab; ++r) later[r] -= error[r] * feedback[k];
    }
  }

  // From the columns [p, p + group) as they are now: in the tile, or behind it in w.
  void choose_scales(int64_t begin, int64_t p, int64_t end) {
    for (int64_t i = 0; i < job_.group; ++i) {
      const float cost = 1 / job_.feedback.diagonal[static_cast<size_t>(p + i)];
      group_copy_.importance()[i] = cost * cost;
    }
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t i = 0; i < job_.group; ++i)
        group_copy_.values()[i] = p + i < end ? column(p + i - begin)[r] : w_[r * job_.cols + p + i];
      const BlockScale chosen = job_.choose(group_copy_.block(job_.group), first_ + r);
      scale_[r] = chosen.scale;
      zero_[r] = chosen.zero;
      const auto at = static_cast<size_t>((first_ + r) * job_.groups() + p / job_.group);
      job_.scales[at] = chosen.scale;
      if (!job_.zeros.empty()) job_.zeros[at] = chosen.zero;
    }
  }

  void read_scales(int64_t c) {
    for (int64_t r = 0; r < rows_; ++r) {
      const int64_t at = (first_ + r) * job_.groups() + c / job_.group;
      scale_[r] = job_.scales[static_cast<size_t>(at)];
      if (!job_.zeros.empty()) zero_[r] = job_.zeros[static_cast<size_t>(at)];
    }
  }

  Job& job_;
  Rows& all_;
  const Stretch& stretch_;
  int64_t from_, first_, rows_;
  float* w_;                   // [rows_][cols], in the order of turns
  std::vector<float> tile_;    // [block][kSlab]: the columns at hand
  std::vector<float> errors_;  // [kSlab][block], negated
  BlockCopy group_copy_;
  Column scale_ = {}, zero_ = {};
};

// Columns of a block, so that groups end where blocks do.
int64_t aligned_block(int64_t wanted, int64_t group, int64_t cols) {
  if (group == cols || group % wanted == 0) return wanted;
  return group < wanted ? wanted / group * group : group;
}

// So that groups and blocks end where stretches do.
int64_t aligned_stretch(int64_t wanted, int64_t block, int64_t group, int64_t cols) {
  return base::round_up(wanted, group == cols ? block : std::max(block, group));
}

// In the order of turns. Columns that no token ever had a value in are zero.
Rows take_rows(const Job& job, int64_t first, int64_t count, base::ThreadPool& pool) {
  Rows rows{first, count, base::HugeVector<float>(static_cast<size_t>(count * job.cols)), {}};
  pool.parallel_for(count, kSlab, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t p = 0; p < job.cols; ++p) {
        const int64_t c = job.feedback.order[static_cast<size_t>(p)];
        if (!job.feedback.dead[static_cast<size_t>(c)])
          rows.w[static_cast<size_t>(r * job.cols + p)] =
              job.weights[static_cast<size_t>((first + r) * job.cols + c)];
      }
  });
  return rows;
}

void round_rows(Job& job, Rows rows, base::ThreadPool& pool) {
  std::unique_ptr<ColumnsBehind> others;
  if (job.stretch < job.cols) {
    rows.errors.resize(static_cast<size_t>(job.stretch * rows.count));
    others = columns_behind({rows.w.data(), rows.count, job.cols, job.cols}, job.feedback.upper, job.backend);
  }
  for (Stretch stretch{0, 0}; stretch.begin < job.cols; stretch.begin = stretch.end) {
    stretch.end = std::min(job.cols, stretch.begin + job.stretch);
    if (others) others->fetch(stretch.begin, stretch.end);
    pool.parallel_for(base::ceil_div(rows.count, kSlab), 1, [&](int64_t begin, int64_t end) {
      for (int64_t slab = begin; slab < end; ++slab) Slab(job, rows, slab * kSlab, stretch).run();
    });
    if (stretch.end < job.cols) others->add(rows.errors.data(), stretch.begin, stretch.end);
  }
}

// Scales that are shared by rows or have a second level are rtn's.
bool has_given_scales(const tensor::QuantizedMatrix& matrix) {
  return matrix.block_rows > 1 || matrix.scales.super_format || !matrix.scales.table.empty();
}

// The scales that `matrix` holds, by row and group.
void take_scales(Job& job, int64_t rows) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t g = 0; g < job.groups(); ++g) {
      const auto at = static_cast<size_t>(row * job.groups() + g);
      const int64_t block = job.matrix.block_of(row, g * job.group);
      job.scales[at] = job.matrix.scales.at(block);
      if (!job.zeros.empty()) job.zeros[at] = zero_of(job.matrix, block);
    }
}

// Of all groups, from the weights as they are at first.
void choose_static_scales(Job& job, int64_t rows, std::span<const float> costs, base::ThreadPool& pool) {
  pool.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    BlockCopy copy(job.group, true);
    for (int64_t i = begin * job.groups(); i < end * job.groups(); ++i) {
      const int64_t row = i / job.groups(), first = i % job.groups() * job.group;
      std::copy_n(job.weights.begin() + row * job.cols + first, job.group, copy.values());
      std::copy_n(costs.begin() + first, job.group, copy.importance());
      const BlockScale chosen = job.choose(copy.block(job.group), row);
      job.scales[static_cast<size_t>(i)] = chosen.scale;
      if (!job.zeros.empty()) job.zeros[static_cast<size_t>(i)] = chosen.zero;
    }
  });
}

}  // namespace

FeedbackOptions feedback_options(const base::Json& settings) {
  return {settings.at("damp").get<double>(), settings.at("block").get<int64_t>(),
          settings.at("act_order").get<bool>()};
}

std::vector<float> column_costs(const InputStatistics& inputs, const FeedbackOptions& options) {
  if (options.act_order) return {inputs.importance().begin(), inputs.importance().end()};
  std::vector<float> costs;
  for (const float d : inputs.feedback(options.damp, false).diagonal) costs.push_back(1 / (d * d));
  return costs;
}

tensor::QuantizedMatrix round_with_feedback(std::span<const float> weights, int64_t rows, int64_t cols,
                                            const numeric::WeightScheme& scheme, const MethodOptions& options,
                                            const FeedbackOptions& feedback, const BlockRule& rule,
                                            const ChooseGroupScale& choose, std::string_view method,
                                            base::ThreadPool& pool) {
  AQ_CHECK(options.inputs && options.inputs->cols() == cols, "{} without its inputs", method);
  tensor::QuantizedMatrix matrix = empty_matrix(rows, cols, scheme);
  const int64_t group = matrix.flat_block > 0 ? matrix.flat_block : matrix.block_cols;
  if (cols % group != 0)
    throw base::BadUsage(
        fmt::format("{}: blocks of {} cross the rows of a matrix with {} columns; choose a "
                    "scheme with groups or one scale per channel",
                    method, group, cols));
  const bool given = has_given_scales(matrix);
  if (given)
    matrix = rtn.quantize(
        weights, rows, cols, scheme,
        {.clip = options.clip, .importance = options.inputs->importance(), .largest = options.largest}, pool);
  const model::Backend& backend = options.inputs->backend();
  const int64_t block = aligned_block(feedback.block, group, cols);
  const int64_t stretch =
      backend.memory().is_host() ? feedback.stretch : std::min(feedback.stretch, kDeviceStretch);
  Job job{weights,
          cols,
          group,
          block,
          aligned_stretch(stretch, block, group, cols),
          rule,
          choose,
          options.inputs->feedback(feedback.damp, feedback.act_order),
          backend,
          given || feedback.act_order,
          matrix,
          {},
          {}};
  job.scales.resize(static_cast<size_t>(rows * job.groups()));
  job.zeros.resize(scheme.symmetric ? 0 : job.scales.size());
  if (given)
    take_scales(job, rows);
  else if (feedback.act_order)
    choose_static_scales(job, rows, column_costs(*options.inputs, feedback), pool);
  for (int64_t first = 0; first < rows; first += kRows)
    round_rows(job, take_rows(job, first, std::min(kRows, rows - first), pool), pool);
  if (given) return matrix;
  store_scales(job.scales, 1, matrix);
  store_zeros(job.scales, job.zeros, matrix);
  return matrix;
}

}  // namespace aquatint::quant
