#include "model/weights.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "model/finite.h"

namespace aquatint::model {
namespace {

using base::BadInput;
using checkpoint::Checkpoint;
using tensor::QuantizedMatrix;

std::string file_of(const Checkpoint& checkpoint) { return checkpoint.path().string(); }

QuantizedMatrix shaped_weight(const Checkpoint& checkpoint, const std::string& module, Extent rows,
                              Extent cols) {
  if (!checkpoint.has_weight(module))
    throw BadInput(
        fmt::format("{}: tensor \"{}.weight\" is missing (the file is incomplete or its config.json is of "
                    "another model)",
                    file_of(checkpoint), module));
  QuantizedMatrix m = checkpoint.deferred_weight(module);
  if (m.rows != rows.size || m.cols != cols.size)
    throw BadInput(
        fmt::format("{}: tensor \"{}.weight\" is [{}, {}], expected [{}, {}] = [{}, {}] of config.json",
                    file_of(checkpoint), module, m.rows, m.cols, rows.size, cols.size, rows.key, cols.key));
  return m;
}

QuantizedMatrix checked_weight(const Checkpoint& checkpoint, const std::string& module, Extent rows,
                               Extent cols, base::ThreadPool& pool) {
  QuantizedMatrix m = shaped_weight(checkpoint, module, rows, cols);
  if (m.low_rank)
    throw BadInput(
        fmt::format("{}: \"{}\" has a low-rank part, which only linears of decoder blocks may have",
                    file_of(checkpoint), module));
  check_finite(m, module + ".weight", file_of(checkpoint), pool);
  return m;
}

std::vector<float> checked_vector(const Checkpoint& checkpoint, const std::string& name, Extent extent) {
  if (!checkpoint.has_vector(name))
    throw BadInput(fmt::format("{}: tensor \"{}\" is missing, config.json expects {} = {} values",
                               file_of(checkpoint), name, extent.key, extent.size));
  std::vector<float> values = checkpoint.vector(name, extent.size);
  check_finite(values, name, file_of(checkpoint));
  return values;
}

// The visitors that fill one block: first its norms and biases, then its linears.
class VectorLoader {
 public:
  VectorLoader(const Checkpoint& checkpoint, int64_t layer)
      : checkpoint_(checkpoint), prefix_(fmt::format("model.layers.{}.", layer)) {}

  void norm(std::string_view name, std::vector<float>& values, Extent extent) const {
    values = checked_vector(checkpoint_, fmt::format("{}{}.weight", prefix_, name), extent);
  }

  void linear(Linear& out, std::initializer_list<Part> parts, Extent, bool has_bias) const {
    for (const Part& part : parts) {
      out.rows += part.rows.size;
      append_bias(out, fmt::format("{}{}.bias", prefix_, part.module), part.rows, has_bias);
    }
  }

 private:
  void append_bias(Linear& out, const std::string& name, Extent rows, bool has_bias) const {
    if (has_bias) {
      const std::vector<float> bias = checked_vector(checkpoint_, name, rows);
      out.bias.values.insert(out.bias.values.end(), bias.begin(), bias.end());
    } else if (checkpoint_.has_vector(name)) {
      base::warn("{}: tensor \"{}\" is ignored: config.json says that this layer has no bias",
                 file_of(checkpoint_), name);
    }
  }

  const Checkpoint& checkpoint_;
  std::string prefix_;
};

class LinearLoader {
 public:
  LinearLoader(const Checkpoint& checkpoint, const Backend& backend, int64_t layer)
      : checkpoint_(checkpoint), backend_(backend), prefix_(fmt::format("model.layers.{}.", layer)) {}

  void norm(std::string_view, const std::vector<float>&, Extent) const {}

  void linear(Linear& out, std::initializer_list<Part> parts, Extent cols, bool) const {
    std::vector<QuantizedMatrix> matrices(parts.size());
    backend_.pool->parallel_for(static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        matrices[static_cast<size_t>(i)] =
            shaped_weight(checkpoint_, module(parts.begin()[i]), parts.begin()[i].rows, cols);
    });
    size_t i = 0;
    for (const Part& part : parts)
      check_finite(matrices[i++], module(part) + ".weight", file_of(checkpoint_), *backend_.pool);
    pack_linear(out, matrices, backend_);
    for (const Part& part : parts) checkpoint_.advise(module(part), base::Access::done);
  }

 private:
  std::string module(const Part& part) const { return fmt::format("{}{}", prefix_, part.module); }

  const Checkpoint& checkpoint_;
  const Backend& backend_;
  std::string prefix_;
};

// The visitor that tells the system which block is read next.
struct ReadAhead {
  const Checkpoint& checkpoint;
  int64_t layer;
  void norm(std::string_view, const std::vector<float>&, Extent) const {}
  void linear(const Linear&, std::initializer_list<Part> parts, Extent, bool) const {
    for (const Part& part : parts)
      checkpoint.advise(fmt::format("model.layers.{}.{}", layer, part.module), base::Access::soon);
  }
};

// The visitor that adds up what a block keeps in memory.
struct ByteCounter {
  uint64_t bytes = 0;
  void norm(std::string_view, const std::vector<float>& values, Extent) {
    bytes += values.size() * sizeof(float);
  }
  void linear(const Linear& linear, std::initializer_list<Part>, Extent, bool) { bytes += linear.bytes(); }
};

bool same_values(const QuantizedMatrix& a, const QuantizedMatrix& b) {
  std::vector<float> of_a(static_cast<size_t>(a.cols)), of_b(of_a.size());
  for (int64_t row = 0; row < a.rows; ++row) {
    tensor::dequantize(a, row, row + 1, of_a.data());
    tensor::dequantize(b, row, row + 1, of_b.data());
    if (of_a != of_b) return false;
  }
  return true;
}

// The output head: its own matrix, or the embedding's when they are tied.
std::unique_ptr<kernels::PackedMatrix> load_head(const Checkpoint& checkpoint, const Config& config,
                                                 const Backend& backend, const QuantizedMatrix& embedding) {
  const Extent rows{config.vocab_size, "vocab_size"}, cols{config.hidden_size, "hidden_size"};
  const QuantizedMatrix* head = &embedding;
  QuantizedMatrix own;
  if (!config.tied_embeddings || checkpoint.has_weight("lm_head"))
    own = checked_weight(checkpoint, "lm_head", rows, cols, *backend.pool);
  if (!config.tied_embeddings)
    head = &own;
  else if (own.rows > 0 && !same_values(own, embedding))
    base::warn(
        "{}: tensor \"lm_head.weight\" is ignored: it differs from the embedding, but tie_word_embeddings is "
        "true",
        file_of(checkpoint));
  return backend.kernels->pack({&head, 1}, backend.precision, *backend.pool);
}

uint64_t matrix_bytes(const QuantizedMatrix& m) {
  if (m.deferred) return m.stored_bytes;
  return m.codes.size() + m.scales.codes.size() + m.scales.super.size() + m.minima.codes.size() +
         m.minima.super.size() + m.zero_points.size() * sizeof(int16_t);
}

}  // namespace

const float* Vector::in(const kernels::Memory& memory) const {
  if (memory.is_host()) return values.data();
  if (placed_.empty()) placed_ = kernels::Array<float>(memory, values, "a norm or bias");
  return placed_.data();
}

uint64_t Linear::bytes() const {
  uint64_t total = bias.values.size() * sizeof(float);
  for (const auto& piece : pieces) total += piece->bytes();
  for (const PackedLowRank& part : low_rank) total += part.left->bytes() + part.right->bytes();
  return total;
}

uint64_t Weights::bytes_per_decode(const Config& config) const {
  ByteCounter counter;
  for (const Block& block : blocks) each_weight(block, config, counter);
  return counter.bytes + final_norm.values.size() * sizeof(float) + head->bytes();
}

uint64_t Weights::resident_bytes(const Config& config) const {
  return bytes_per_decode(config) + matrix_bytes(embedding);
}

Block load_block_vectors(const Checkpoint& checkpoint, const Config& config, int64_t layer) {
  Block block;
  each_weight(block, config, VectorLoader(checkpoint, layer));
  return block;
}

void pack_linear(Linear& out, std::span<const QuantizedMatrix> parts, const Backend& backend) {
  out.clear();
  const auto pack = [&](std::span<const QuantizedMatrix* const> matrices) {
    return backend.kernels->pack(matrices, backend.precision, *backend.pool);
  };
  std::vector<QuantizedMatrix> codes;
  int64_t first_row = 0;
  for (const QuantizedMatrix& part : parts) {
    codes.push_back(tensor::without_low_rank(part));
    if (part.low_rank)
      out.low_rank.push_back(
          {first_row, pack(std::array{&part.low_rank->left}), pack(std::array{&part.low_rank->right})});
    first_row += part.rows;
  }
  for (size_t begin = 0, end; begin < codes.size(); begin = end) {
    std::vector<const QuantizedMatrix*> alike;
    for (end = begin; end < codes.size() && codes[end].input == codes[begin].input; ++end)
      alike.push_back(&codes[end]);
    out.pieces.push_back(pack(alike));
  }
}

Weights load_weights(const Checkpoint& checkpoint, const Config& config, const Backend& backend) {
  const Extent vocab{config.vocab_size, "vocab_size"}, hidden{config.hidden_size, "hidden_size"};
  Weights weights;
  weights.blocks.resize(static_cast<size_t>(config.layers));
  for (const char* module : {"model.embed_tokens", "lm_head"}) checkpoint.advise(module, base::Access::soon);
  if (config.layers > 0) each_weight(weights.blocks[0], config, ReadAhead{checkpoint, 0});
  weights.embedding = checked_weight(checkpoint, "model.embed_tokens", vocab, hidden, *backend.pool);
  weights.head = load_head(checkpoint, config, backend, weights.embedding);
  for (const char* module : {"model.embed_tokens", "lm_head"}) checkpoint.advise(module, base::Access::done);
  weights.final_norm.values = checked_vector(checkpoint, "model.norm.weight", hidden);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    Block& block = weights.blocks[static_cast<size_t>(layer)];
    if (layer + 1 < config.layers) each_weight(block, config, ReadAhead{checkpoint, layer + 1});
    block = load_block_vectors(checkpoint, config, layer);
    each_weight(block, config, LinearLoader(checkpoint, backend, layer));
    base::progress("load", layer + 1, config.layers, "layers");
  }
  return weights;
}

}  // namespace aquatint::model
