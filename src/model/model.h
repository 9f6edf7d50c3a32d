// A decoder-only transformer ready to run: weights packed for one kernel set, a forward pass over batches of
// sequences.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "kernels/ops.h"
#include "model/config.h"
#include "model/kv_cache.h"

namespace aquatint::model {

// Where a model runs: one kernel set, one pool, one precision.
struct Backend {
  const kernels::KernelSet* kernels = nullptr;
  base::ThreadPool* pool = nullptr;
  kernels::Precision precision = kernels::Precision::bf16;
  std::optional<kernels::KvFormat> kv = std::nullopt;  // null: as the checkpoint or else the precision says

  kernels::KvFormat kv_format() const {
    return kv.value_or(precision == kernels::Precision::fp32 ? kernels::KvFormat::fp32
                                                             : kernels::KvFormat::bf16);
  }
  const kernels::Memory& memory() const { return kernels->memory(); }
  // For arrays of the host: the same kernels, or the best ones for this CPU where theirs lie on a device.
  const kernels::KernelSet& host_kernels() const;
  Backend on_host() const { return {&host_kernels(), pool, precision, kv}; }
};

// The next `rows` tokens of one sequence.
struct Segment {
  KvCache* cache;
  int64_t rows;
};

class Model {
 public:
  // Reads and packs every weight; the checkpoint is kept while the embedding lies in its mapping. Throws
  // BadInput for a missing tensor, a shape that contradicts the config, or a weight that is NaN or infinite.
  static std::unique_ptr<Model> load(std::shared_ptr<const checkpoint::Checkpoint> checkpoint,
                                     const Backend& backend);
  ~Model();

  const Config& config() const;
  // As it was asked for; where that left `kv` open and precision is below FP32, with the format that the
  // checkpoint asks for.
  const Backend& backend() const;
  // An empty cache for a sequence of this model; as KvCache's constructor.
  KvCache cache(int64_t capacity, int64_t rewind = 0) const;
  std::string cache_words() const;    // "bf16", "fp8_e4m3, calibrated scales"
  uint64_t weight_bytes() const;      // packed, resident
  uint64_t bytes_per_decode() const;  // weight bytes that one generated token reads (embedding rows excluded)

  // Runs tokens (concatenated over segments, each with a cache of its own) and appends to their caches.
  // hidden is [tokens.size()][hidden_size]: the states after the final norm, which logits() turns into
  // next-token scores. Long prompts go through in pieces, so that memory does not grow with them. Throws
  // OutOfResource past a capacity and BadInput for a token outside the vocabulary, both before anything is
  // run. One call at a time. Where the kernels' memory is a device's, embeddings are copied to it and states
  // back, 4 · hidden_size bytes a token each way.
  void forward(std::span<const int32_t> tokens, std::span<const Segment> segments, kernels::Phase phase,
               float* hidden);
  // The same, of each segment's last row alone: last is [segments.size()][hidden_size].
  void forward_last(std::span<const int32_t> tokens, std::span<const Segment> segments, kernels::Phase phase,
                    float* last);
  // One token of each sequence goes through as by forward() in Phase::decode; next[i] is what has the largest
  // logit behind token i, the lowest one on ties. Nothing else leaves a device.
  void next_tokens(std::span<const int32_t> tokens, std::span<const Segment> segments, int32_t* next);
  // The same, next[i] drawn as draws[i] says; only where the kernels can (KernelSet::sample).
  void draw_tokens(std::span<const int32_t> tokens, std::span<const Segment> segments,
                   std::span<const kernels::Draw> draws, int32_t* next);
  // logits is [rows][vocab_size]; from a device they are copied, 4 · vocab_size bytes a row.
  void logits(const float* hidden, int64_t rows, kernels::Phase phase, float* logits) const;
  // What evaluation wants to know of logits, of which nothing else leaves a device: of each row its
  // statistics and the logit of targets[row].
  void score(const float* hidden, std::span<const int32_t> targets, kernels::LogitStats* stats,
             float* target_logits) const;
  // The same against a reference with the same vocabulary and kernels.
  void compare(const Model& reference, const float* reference_hidden, const float* hidden,
               std::span<const int32_t> targets, kernels::Divergence* divergences,
               float* target_logits) const;

 private:
  struct State;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace aquatint::model
