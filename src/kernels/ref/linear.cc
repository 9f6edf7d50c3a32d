#include "base/error.h"
#include "kernels/input_rounding.h"
#include "kernels/ref/ref.h"

namespace aquatint::kernels::ref {
namespace {

// Values as FP32, row-major. Unless precision is FP32, plain weights are rounded to BF16; quantized ones stay
// exact.
struct Values final : PackedMatrix {
  int64_t rows() const override { return out_features; }
  int64_t cols() const override { return in_features; }
  uint64_t bytes() const override { return values.size() * sizeof(float); }

  int64_t out_features = 0, in_features = 0;
  numeric::ActivationScheme input;
  Precision precision{};
  std::vector<float> values;
  std::vector<bool> over_codes;  // by row: integers, which Precision::int8 meets with int8 blocks
};

bool meets_int8(const tensor::QuantizedMatrix& m, Precision precision) {
  return precision == Precision::int8 && !m.input.format && !m.plain() &&
         m.format->kind == numeric::Kind::integer;
}

}  // namespace

std::unique_ptr<PackedMatrix> pack(std::span<const tensor::QuantizedMatrix* const> parts, Precision precision,
                                   base::ThreadPool&) {
  AQ_CHECK(!parts.empty());
  auto packed = std::make_unique<Values>();
  packed->in_features = parts[0]->cols;
  packed->input = parts[0]->input;
  packed->precision = precision;
  check_input_scheme(packed->input);
  for (const tensor::QuantizedMatrix* part : parts) {
    AQ_CHECK(part->cols == packed->in_features && part->input == packed->input, "parts share their input");
    packed->out_features += part->rows;
    packed->over_codes.insert(packed->over_codes.end(), static_cast<size_t>(part->rows),
                              meets_int8(*part, precision));
    const size_t begin = packed->values.size();
    packed->values.resize(begin + static_cast<size_t>(part->rows * part->cols));
    tensor::dequantize(*part, 0, part->rows, packed->values.data() + begin);
    if (precision != Precision::fp32 && part->plain())
      for (size_t i = begin; i < packed->values.size(); ++i)
        packed->values[i] = numeric::bf16_to_float(numeric::float_to_bf16(packed->values[i]));
  }
  return packed;
}

void linear(const PackedMatrix& w, const float* x, int64_t rows, Phase, const float* bias, bool accumulate,
            float* y, int64_t y_row, base::ThreadPool&) {
  const Values& weights = static_cast<const Values&>(w);
  const int64_t cols = w.cols();
  std::vector<float> input(static_cast<size_t>(cols)), blocks(input.size()), outliers(input.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < cols; ++i)
      outliers[static_cast<size_t>(i)] = outlier_of(weights.input, weights.precision, x[row * cols + i]);
    const double scale = round_input(weights.input, weights.precision, x + row * cols, cols, input.data());
    round_blocks(input.data(), cols, blocks.data());
    for (int64_t out = 0; out < w.rows(); ++out) {
      const float* values = (weights.over_codes[static_cast<size_t>(out)] ? blocks : input).data();
      const float* weight = weights.values.data() + out * cols;
      double sum = 0, beside = 0;
      for (int64_t i = 0; i < cols; ++i) {
        sum += static_cast<double>(weight[i]) * values[i];
        beside += static_cast<double>(weight[i]) * outliers[static_cast<size_t>(i)];
      }
      float& result = y[row * y_row + out];
      result =
          static_cast<float>(sum * scale + beside + (bias ? bias[out] : 0.0f) + (accumulate ? result : 0.0f));
    }
  }
}

}  // namespace aquatint::kernels::ref
