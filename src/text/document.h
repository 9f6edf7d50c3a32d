// A tokenizer.json document taken apart: the two big tables read straight into vectors (a tree of them would
// cost most of a program start), the rest a small tree.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace aquatint::text {

struct TokenizerDocument {
  base::Json rest;  // all but model.vocab and model.merges
  std::vector<std::pair<std::string, int32_t>> vocab;
  std::vector<std::pair<std::string, std::string>> merges;
};

// BadInput on a syntax error, too deep nesting, or tables of another shape than a BPE model's.
TokenizerDocument read_tokenizer_json(std::string_view text, const std::string& where);

}  // namespace aquatint::text
