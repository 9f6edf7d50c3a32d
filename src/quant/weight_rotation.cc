#include "quant/weight_rotation.h"

#include "base/error.h"

namespace aquatint::quant {
namespace {

constexpr uint64_t kRotationsPerSeed = 16;  // each has a seed of its own: the recipe's times this, and on

}  // namespace

RotationMaker::RotationMaker(std::string_view method, const base::Json& settings)
    : method_(method), next_seed_(settings.at("seed").get<uint64_t>() * kRotationsPerSeed) {}

model::RotationPtr RotationMaker::operator()(std::string_view place, int64_t width) {
  if (!tensor::Rotation::exists(width))
    throw base::BadUsage(
        fmt::format("{} cannot rotate {} of width {}: its odd factor is too large", method_, place, width));
  return std::make_shared<const tensor::Rotation>(width, next_seed_++);
}

void rotate_residual(RotationMaker& make, const model::Config& config, const base::Json& settings,
                     WeightRotations& out) {
  out.residual = make("the residual stream", config.hidden_size);
  out.untie = config.tied_embeddings && settings.at("untie").get<bool>();
  if (config.tied_embeddings && !out.untie) out.run.residual = out.residual;
}

base::Json config_changes(const WeightRotations& rotations) {
  base::Json changes = base::Json::object();
  if (rotations.run.any()) changes[model::kRotationsKey] = to_json(rotations.run);
  if (rotations.untie) changes["tie_word_embeddings"] = false;
  return changes;
}

checkpoint::RowSource folded_rows(const checkpoint::Checkpoint& source, const ModelMatrix& matrix,
                                  model::RotationPtr residual, const model::Backend& backend) {
  ModelMatrix stored = matrix;
  if (!source.has_weight(matrix.module)) stored.module = kEmbedding;  // a head that was tied
  std::vector<float> norm;
  if (matrix.module == kHead) norm = read_vector(source, {kFinalNorm, matrix.cols});
  return [=, &backend, found = read_matrix(source, stored, *backend.pool)](int64_t begin, int64_t end,
                                                                           float* out) {
    tensor::dequantize(found, begin, end, out);
    for (size_t i = 0; i < static_cast<size_t>((end - begin) * found.cols) && !norm.empty(); ++i)
      out[i] *= norm[i % norm.size()];
    backend.host_kernels().rotate_runs(*residual, false, out, end - begin, found.cols, 1, *backend.pool);
  };
}

}  // namespace aquatint::quant
