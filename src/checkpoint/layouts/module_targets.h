// Which modules a config group of compressed-tensors means.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/layouts/layout.h"

namespace aquatint::checkpoint {

// Targets that match the modules of `contents.groups[index]` and none of another group: the class when there
// is one group; otherwise, for each place in a block ("mlp.up_proj"), one expression over all layers or over
// those listed. Classes are avoided beside other groups because TensorRT-LLM rejects them there.
std::vector<std::string> module_targets(const Contents& contents, size_t index);

}  // namespace aquatint::checkpoint
