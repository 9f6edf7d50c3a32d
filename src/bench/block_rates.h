// How fast whole decoder blocks of a shape run, on random weights: its own linears with all that lies between
// them, and the head. What a model of this shape will reach, before there is one.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "numeric/scheme.h"

namespace aquatint::bench {

// What the blocks' linears become.
struct BlockScheme {
  std::string name;
  std::optional<numeric::WeightScheme> weights;  // null: BF16
  numeric::ActivationScheme input = {};
  std::optional<kernels::KvFormat> kv = {};  // null: the backend's
};

// Batches that a block is measured with besides: each sequence has a prompt, then a context.
struct Batches {
  std::vector<int> sequences;  // of each batch
  int64_t prompt = 512;        // tokens; prompts go through up to kPromptRows tokens at a time, one at least
  int64_t context = 576;       // tokens before the generated one
};
inline constexpr int64_t kPromptRows = 2048;

struct BatchRate {
  int sequences = 0;
  // Seconds of one block, or of the head: a generated token of each sequence; all their prompts, whose last
  // tokens alone the head scores.
  double step = 0, prompts = 0;
};

struct BlockRate {
  std::string scheme;  // or kHeadRate
  double weights = 0;  // of one block's linears; of the head
  double bits = 0;     // packed, per weight
  // Seconds of one block: one generated row, eight at once, and a prompt's row among kRateRows. Contexts are
  // so short that attention counts for little.
  double row = 0, eight_rows = 0, prompt_row = 0;
  std::vector<BatchRate> batches = {};  // as asked for
};
inline constexpr const char* kHeadRate = "head";
inline constexpr int kRateRows = 512;

// One rate a scheme, and last the head's. As many blocks as the shape has, or as no last-level cache holds,
// take turns, so that weights come from where a model's would; so a model need not fit in memory. Of `shape`
// all but windows and rope's frequencies is read. Some seconds for each scheme of a large shape, and one or
// two for each batch.
std::vector<BlockRate> measure_blocks(const model::Config& shape, const std::vector<BlockScheme>& schemes,
                                      const model::Backend& backend, const Batches& batches = {});

// A whole model's batch, made of its blocks and the head: all prompts at once, then tokens one by one.
struct ModelBatch {
  std::string scheme;
  std::string_view kv;
  int sequences = 0, outputs = 0;     // output tokens of each sequence
  double first_token = 0, token = 0;  // seconds: TTFT, TPOT
  double bytes = 0;                   // that a token's step reads: weights and contexts

  double tokens_per_second() const { return sequences / token; }
  // Prompts' time included.
  double output_per_second() const { return sequences * outputs / (first_token + (outputs - 1) * token); }
};

// Of rates that measure_blocks() gave for the same; by scheme, then by batch.
std::vector<ModelBatch> model_batches(const model::Config& shape, const std::vector<BlockScheme>& schemes,
                                      const std::vector<BlockRate>& rates, const Batches& batches,
                                      const model::Backend& backend, int outputs);

}  // namespace aquatint::bench
