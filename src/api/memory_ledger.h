// What a model's memory goes to.
#pragma once
#include <vector>

#include "checkpoint/checkpoint.h"
#include "kernels/ops.h"
#include "model/config.h"
#include "report/study_data.h"

namespace aquatint::api {

// Parts of a checkpoint as it lies in its files, and the cache of 1024 tokens.
std::vector<report::MemoryPart> memory_ledger(const checkpoint::Checkpoint& checkpoint,
                                              const model::Config& config, kernels::KvFormat cache);
// The same of a model whose every parameter is held in FP32.
std::vector<report::MemoryPart> fp32_memory_ledger(const checkpoint::Checkpoint& checkpoint,
                                                   const model::Config& config);

}  // namespace aquatint::api
