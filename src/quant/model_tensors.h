// Every tensor of a decoder by its Hugging Face name, from its config: what a pipeline walks over.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "model/config.h"
#include "model/decoder.h"

namespace aquatint::quant {

inline constexpr std::string_view kEmbedding = "model.embed_tokens", kHead = "lm_head";
inline constexpr const char* kFinalNorm = "model.norm.weight";
// The only layout whose readers know that a model's run rotates (model/rotations.h).
inline constexpr std::string_view kRotatedLayout = "aquatint";

struct ModelMatrix {
  std::string module;
  int64_t rows = 0, cols = 0;
  bool linear = false;  // of a decoder block; otherwise embedding or head
  int64_t layer = -1;   // of a linear, with the stage that it works in
  model::Stage stage{};
};

struct ModelVector {
  std::string name;  // in full
  int64_t size = 0;
  int64_t layer = -1;  // of a decoder block
};

using VectorValues = std::map<std::string, std::vector<float>>;  // by name

struct ModelTensors {
  model::Config config;
  std::vector<ModelMatrix>
      matrices;  // embedding, then the blocks in order, then the head where it is not tied
  std::vector<ModelVector> vectors;  // norms and biases

  int64_t parameters() const;
  int64_t linear_parameters() const;
  int64_t linears_per_block() const;
  // Those that share the stage's input, in order.
  std::span<const ModelMatrix> linears(int64_t layer, model::Stage stage) const;
  // Norms and biases of a block; of none: layer -1.
  std::span<const ModelVector> block_vectors(int64_t layer) const;
};

// BadInput for a config that is malformed or of an unknown architecture.
ModelTensors list_tensors(const checkpoint::Checkpoint& source);

// BadUsage when the model's run rotates and the layout's readers would not know.
void check_says_rotations(std::string_view layout, const model::Config& config);

// The matrix by its size alone; its values are not looked at. BadInput when it is missing or has another
// shape.
tensor::QuantizedMatrix find_matrix(const checkpoint::Checkpoint& source, const ModelMatrix& matrix);

// The matrix, checked: it exists, has the shape that the config asks for and holds only finite values.
// BadInput otherwise.
tensor::QuantizedMatrix read_matrix(const checkpoint::Checkpoint& source, const ModelMatrix& matrix,
                                    base::ThreadPool& pool);
// Its exact values, row-major; the file's pages no longer count as this process's memory.
std::vector<float> source_values(const checkpoint::Checkpoint& source, const ModelMatrix& matrix,
                                 base::ThreadPool& pool);
std::vector<float> read_vector(const checkpoint::Checkpoint& source, const ModelVector& vector);

// Exact values, row-major, computed in parallel.
std::vector<float> values_of(const tensor::QuantizedMatrix& matrix, base::ThreadPool& pool);

}  // namespace aquatint::quant
