#include "quant/model_tensors.h"

#include <algorithm>

#include "base/error.h"
#include "model/finite.h"
#include "model/weights.h"

namespace aquatint::quant {
namespace {

// The visitor of one block.
struct BlockLister {
  ModelTensors& out;
  int64_t layer;
  std::string prefix = fmt::format("model.layers.{}.", layer);
  size_t stage = 0;

  void norm(std::string_view name, const std::vector<float>&, model::Extent extent) {
    out.vectors.push_back({fmt::format("{}{}.weight", prefix, name), extent.size, layer});
  }
  void linear(const model::Linear&, std::initializer_list<model::Part> parts, model::Extent cols,
              bool has_bias) {
    for (const model::Part& part : parts) {
      const std::string module = fmt::format("{}{}", prefix, part.module);
      out.matrices.push_back({module, part.rows.size, cols.size, true, layer, model::kStages[stage]});
      if (has_bias) out.vectors.push_back({module + ".bias", part.rows.size, layer});
    }
    ++stage;
  }
};

}  // namespace

int64_t ModelTensors::linear_parameters() const {
  int64_t sum = 0;
  for (const ModelMatrix& matrix : matrices) sum += matrix.linear ? matrix.rows * matrix.cols : 0;
  return sum;
}

int64_t ModelTensors::linears_per_block() const {
  const auto count = std::count_if(matrices.begin(), matrices.end(), [](const auto& m) { return m.linear; });
  return config.layers > 0 ? count / config.layers : 0;
}

int64_t ModelTensors::parameters() const {
  int64_t sum = 0;
  for (const ModelMatrix& matrix : matrices) sum += matrix.rows * matrix.cols;
  for (const ModelVector& vector : vectors) sum += vector.size;
  return sum;
}

std::span<const ModelMatrix> ModelTensors::linears(int64_t layer, model::Stage stage) const {
  const auto is_one = [&](const ModelMatrix& m) { return m.linear && m.layer == layer && m.stage == stage; };
  const auto first = std::find_if(matrices.begin(), matrices.end(), is_one);
  return {first, std::find_if_not(first, matrices.end(), is_one)};
}

std::span<const ModelVector> ModelTensors::block_vectors(int64_t layer) const {
  const auto is_one = [layer](const ModelVector& v) { return v.layer == layer; };
  const auto first = std::find_if(vectors.begin(), vectors.end(), is_one);
  return {first, std::find_if_not(first, vectors.end(), is_one)};
}

ModelTensors list_tensors(const checkpoint::Checkpoint& source) {
  ModelTensors tensors;
  tensors.config = model::parse_config(source.config(), source.path().string() + ": config.json");
  const model::Config& config = tensors.config;
  tensors.matrices.push_back({std::string(kEmbedding), config.vocab_size, config.hidden_size});
  const model::Block block;
  for (int64_t layer = 0; layer < config.layers; ++layer)
    model::each_weight(block, config, BlockLister{tensors, layer});
  tensors.vectors.push_back({kFinalNorm, config.hidden_size});
  if (!config.tied_embeddings)
    tensors.matrices.push_back({std::string(kHead), config.vocab_size, config.hidden_size});
  return tensors;
}

void check_says_rotations(std::string_view layout, const model::Config& config) {
  if (config.rotations.any() && layout != kRotatedLayout)
    throw base::BadUsage(
        fmt::format("layout {} cannot say the rotations that this model needs at run time; only {} can",
                    layout, kRotatedLayout));
}

tensor::QuantizedMatrix find_matrix(const checkpoint::Checkpoint& source, const ModelMatrix& matrix) {
  const std::string where = source.path().string();
  if (!source.has_weight(matrix.module))
    throw base::BadInput(
        fmt::format("{}: tensor \"{}.weight\" is missing; is the download complete?", where, matrix.module));
  tensor::QuantizedMatrix found = source.weight(matrix.module);
  if (found.rows != matrix.rows || found.cols != matrix.cols)
    throw base::BadInput(fmt::format("{}: tensor \"{}.weight\" is [{}, {}], expected [{}, {}] by config.json",
                                     where, matrix.module, found.rows, found.cols, matrix.rows, matrix.cols));
  return found;
}

tensor::QuantizedMatrix read_matrix(const checkpoint::Checkpoint& source, const ModelMatrix& matrix,
                                    base::ThreadPool& pool) {
  tensor::QuantizedMatrix found = find_matrix(source, matrix);
  model::check_finite(found, matrix.module + ".weight", source.path().string(), pool);
  return found;
}

std::vector<float> source_values(const checkpoint::Checkpoint& source, const ModelMatrix& matrix,
                                 base::ThreadPool& pool) {
  std::vector<float> values = values_of(read_matrix(source, matrix, pool), pool);
  source.advise(matrix.module, base::Access::done);
  return values;
}

std::vector<float> read_vector(const checkpoint::Checkpoint& source, const ModelVector& vector) {
  const std::string where = source.path().string();
  if (!source.has_vector(vector.name))
    throw base::BadInput(fmt::format("{}: tensor \"{}\" is missing, expected {} values by config.json", where,
                                     vector.name, vector.size));
  std::vector<float> values = source.vector(vector.name, vector.size);
  model::check_finite(values, vector.name, where);
  return values;
}

std::vector<float> values_of(const tensor::QuantizedMatrix& matrix, base::ThreadPool& pool) {
  std::vector<float> values(static_cast<size_t>(matrix.rows * matrix.cols));
  pool.parallel_for(matrix.rows, 1, [&](int64_t begin, int64_t end) {
    tensor::dequantize(matrix, begin, end, values.data() + begin * matrix.cols);
  });
  return values;
}

}  // namespace aquatint::quant
