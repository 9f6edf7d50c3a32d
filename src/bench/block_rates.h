// How fast whole decoder blocks of a shape run, on random weights: its own linears with all that lies between
// them, and the head. What a model of this shape will reach, before there is one.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model/model.h"
#include "numeric/scheme.h"

namespace aquatint::bench {

// What the blocks' linears become.
struct BlockScheme {
  std::string name;
  std::optional<numeric::WeightScheme> weights;  // null: BF16
  numeric::ActivationScheme input = {};
};

struct BlockRate {
  std::string scheme;  // or kHeadRate
  double weights = 0;  // of one block's linears; of the head
  double bits = 0;     // packed, per weight
  // Seconds of one block: one generated row, eight at once, and a prompt's row among kRateRows. Contexts are
  // so short that attention counts for little.
  double row = 0, eight_rows = 0, prompt_row = 0;
};
inline constexpr const char* kHeadRate = "head";
inline constexpr int kRateRows = 512;

// One rate a scheme, and last the head's. As many blocks as the shape has, or as no last-level cache holds,
// take turns, so that weights come from where a model's would. Of `shape` all but windows and rope's
// frequencies is read. Some seconds for each scheme of a large shape.
std::vector<BlockRate> measure_blocks(const model::Config& shape, const std::vector<BlockScheme>& schemes,
                                      const model::Backend& backend);

}  // namespace aquatint::bench
