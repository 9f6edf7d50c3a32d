// A decoder-only transformer ready to run: weights packed for one kernel set, a forward pass over batches of sequences.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "kernels/ops.h"
#include "model/config.h"

namespace aquatint::model {

// Where a model runs: one kernel set, one pool, one precision.
struct Backend {
  const kernels::KernelSet* kernels = nullptr;
  base::ThreadPool* pool = nullptr;
  kernels::Precision precision = kernels::Precision::bf16;
};

// Keys and values of one sequence, all layers. Its length is what has been run through the model.
class KvCache {
 public:
  KvCache(const Config& config, int64_t capacity, kernels::Precision precision);
  int64_t length() const { return length_; }
  int64_t capacity() const { return capacity_; }
  void truncate(int64_t length) { length_ = length; }  // forget later tokens; 0 starts over
  static uint64_t bytes_per_token(const Config& config, kernels::Precision precision);

 private:
  friend class Model;
  kernels::KvLayer layer(int64_t i) const;
  std::vector<std::byte> bytes_;
  int64_t capacity_, length_ = 0, layer_bytes_;
};

// The next `rows` tokens of one sequence.
struct Segment {
  KvCache* cache;
  int64_t rows;
};

class Model {
 public:
  // Reads and packs every weight; the checkpoint may be closed afterwards unless the embedding borrows it (then it is
  // kept). Throws BadInput for a missing tensor, a shape that contradicts the config, or a NaN weight.
  static std::unique_ptr<Model> load(std::shared_ptr<const checkpoint::Checkpoint> checkpoint, const Backend& backend);
  ~Model();

  const Config& config() const;
  const Backend& backend() const;
  uint64_t weight_bytes() const;       // packed, resident
  uint64_t bytes_per_decode() const;   // weight bytes that one generated token reads (embedding rows excluded)

  // Runs tokens (concatenated over segments) and appends to their caches. hidden is [tokens.size()][hidden_size]: the
  // states after the final norm, which logits() turns into next-token scores. Throws OutOfResource past a capacity.
  void forward(std::span<const int32_t> tokens, std::span<const Segment> segments, kernels::Phase phase, float* hidden);
  // logits is [rows][vocab_size].
  void logits(const float* hidden, int64_t rows, kernels::Phase phase, float* logits) const;

 private:
  struct State;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace aquatint::model
