// SentencePiece BPE vocabularies as merge lists.
#pragma once
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace aquatint::checkpoint {

struct ScoredPiece {
  std::string_view text;  // UTF-8
  int64_t id;
  double score;  // higher joins earlier
};

// Every pair of pieces whose concatenation is a piece, best score first: SentencePiece joins the pair with
// the best scoring result, a BPE merge list says the same by position. Order of equals as in transformers'
// converter: longer left part, longer right part, piece order, then the ids of the parts.
std::vector<std::pair<std::string_view, std::string_view>> merges_from_scores(
    const std::vector<ScoredPiece>& pieces);

}  // namespace aquatint::checkpoint
