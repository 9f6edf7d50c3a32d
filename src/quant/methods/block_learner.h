// Learning the codes of a block together: its linears follow the gradient of the block's output error over
// small batches of calibration sequences. The error is against what the 16-bit block gives behind 16-bit
// blocks; the inputs come from blocks already quantized. The iterate that is best over all sequences, looked
// at a few times, is kept: no block is worse than rtn's on the calibration tokens.
#pragma once
#include <functional>
#include <memory>

#include "quant/block_task.h"
#include "quant/method.h"
#include "quant/methods/learned_matrix.h"

namespace aquatint::quant {

struct LearningOptions {
  int steps;
  int64_t batch;   // sequences that a step sees
  int64_t tokens;  // of a sequence, at most
  uint64_t seed;
};

inline constexpr MethodSetting kBatchSetting{"batch", MethodSetting::Type::integer, 2, 1,
                                             1024,    "sequences that a step sees"},
    kTokensSetting{"tokens", MethodSetting::Type::integer, 512, 16, 8192, "of a sequence, at most"},
    kSeedSetting{"seed", MethodSetting::Type::integer, 0, 0, 1e9, "of the batches"};

// From these and the method's own "steps".
LearningOptions learning_options(const base::Json& settings);

using MakeLearned = std::function<std::unique_ptr<LearnedMatrix>(const BlockWeights::Linear&,
                                                                 const MethodOptions&, base::ThreadPool&)>;

// Of the block's linears that have a scheme, in their order. BadUsage, in the name of `method`, for a model
// that is rotated at run time.
std::vector<tensor::QuantizedMatrix> learn_block(const BlockTask& task, const LearningOptions& options,
                                                 std::string_view method, const MakeLearned& make);

}  // namespace aquatint::quant
