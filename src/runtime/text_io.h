// What travels with a checkpoint between text and tokens: its tokenizer, its chat template, the tokens that
// end a reply.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "model/config.h"
#include "text/tokenizer.h"

namespace aquatint::runtime {

// BadInput when the checkpoint has no tokenizer.json, or one that cannot be read.
std::unique_ptr<text::Tokenizer> load_tokenizer(const checkpoint::Checkpoint& checkpoint);

// End-of-sequence tokens of config.json and of generation_config.json (chat models list the end of a turn
// there).
std::vector<int32_t> stop_ids(const checkpoint::Checkpoint& checkpoint, const model::Config& config);

// A JSON object among the side files; empty when there is no such file. BadInput when it is anything else.
base::Json side_json(const checkpoint::Checkpoint& checkpoint, std::string_view name);

}  // namespace aquatint::runtime
