// Low-rank compensation (Yao et al., "ZeroQuant-V2", arXiv 2303.08302, section 4): the error that the codes
// leave, E = W − Ŵ, is made up for by two thin factors L · R beside them. Without calibration ‖E − L R‖ is
// least; with it tr((E − L R) H (E − L R)ᵀ), the error of the outputs: L's columns are the leading left
// singular vectors of E · H^½, and R = Lᵀ E whatever H is. L is rounded first and R fitted to it as it is
// stored.
#include <array>

#include "base/error.h"
#include "quant/input_statistics.h"
#include "quant/low_rank.h"
#include "quant/method.h"
#include "quant/model_tensors.h"

namespace aquatint::quant {
namespace {

using tensor::QuantizedMatrix;
using Type = MethodSetting::Type;

constexpr std::array kSettings = {
    MethodSetting{"rank", Type::integer, 8, 1, 1024, "columns of the factors"},
    MethodSetting{"bits", Type::integer, 8, 8, 16, "of a factor's number: 8 (int8) or 16 (BF16)"},
};

const numeric::Format& format_of(const base::Json& settings) {
  return settings.at("bits").get<int>() == 8 ? numeric::int8 : numeric::bf16;
}

void extend(const base::Json& settings, numeric::Scheme& scheme) {
  const int bits = settings.at("bits").get<int>();
  if (bits != 8 && bits != 16) throw base::BadUsage(fmt::format("lorc: bits is {}, expected 8 or 16", bits));
  scheme.weights.low_rank = {settings.at("rank").get<int>(), &format_of(settings)};
}

QuantizedMatrix factor_of(const std::vector<float>& values, int64_t rows, int64_t cols,
                          const numeric::Format& format, base::ThreadPool& pool) {
  if (&format == &numeric::int8) return rtn.quantize(values, rows, cols, factor_scheme(format), {}, pool);
  QuantizedMatrix m = empty_factor(rows, cols, format);
  for (size_t i = 0; i < values.size(); ++i)
    base::store(m.codes.mutable_u8() + 2 * i, static_cast<uint16_t>(format.encode(values[i])));
  return m;
}

void compensate(std::span<const float> weights, const base::Json& settings, const InputStatistics* inputs,
                const model::Backend& backend, QuantizedMatrix& m) {
  const numeric::Format& format = format_of(settings);
  const auto rank = settings.at("rank").get<int64_t>();
  m = tensor::without_low_rank(std::move(m));
  std::vector<float> error = values_of(m, *backend.pool);
  for (size_t i = 0; i < error.size(); ++i) error[i] = weights[i] - error[i];
  const std::span<const float> h = inputs ? inputs->gram() : std::span<const float>();
  auto part = std::make_shared<tensor::LowRank>();
  part->left =
      factor_of(leading_directions(error, m.rows, h, rank, backend), m.rows, rank, format, *backend.pool);
  part->right = factor_of(fitted_right(error, values_of(part->left, *backend.pool), rank, backend), rank,
                          m.cols, format, *backend.pool);
  m.stored_bytes += part->left.stored_bytes + part->right.stored_bytes;
  m.low_rank = std::move(part);
}

}  // namespace

const Method lorc = {
    .name = "lorc",
    .note = "two thin factors beside the codes for what these lost; after any method that finds codes",
    .settings = kSettings,
    .needs_gram = true,
    .extend = extend,
    .compensate = compensate,
};

}  // namespace aquatint::quant
