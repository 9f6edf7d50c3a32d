#include "checkpoint/spm_merges.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

namespace aquatint::checkpoint {
namespace {

struct Merge {
  std::string_view left, right;
  double score;
  int64_t left_length, right_length;  // in code points
};

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), starts_character);
}

// Splits of one piece into two others, by the ids of the parts.
void add_splits(const ScoredPiece& piece, const std::unordered_map<std::string_view, int64_t>& ids,
                std::vector<Merge>& merges) {
  std::vector<std::tuple<int64_t, int64_t, size_t>> splits;
  for (size_t at = 1; at < piece.text.size(); ++at) {
    if (!starts_character(piece.text[at])) continue;
    const auto left = ids.find(piece.text.substr(0, at)), right = ids.find(piece.text.substr(at));
    if (left != ids.end() && right != ids.end()) splits.emplace_back(left->second, right->second, at);
  }
  std::sort(splits.begin(), splits.end());
  for (const auto& [left_id, right_id, at] : splits) {
    const std::string_view left = piece.text.substr(0, at), right = piece.text.substr(at);
    merges.push_back({left, right, piece.score, characters(left), characters(right)});
  }
}

}  // namespace

std::vector<std::pair<std::string_view, std::string_view>> merges_from_scores(
    const std::vector<ScoredPiece>& pieces) {
  std::unordered_map<std::string_view, int64_t> ids;
  ids.reserve(pieces.size());
  for (const ScoredPiece& piece : pieces) ids.emplace(piece.text, piece.id);
  std::vector<Merge> merges;
  for (const ScoredPiece& piece : pieces) add_splits(piece, ids, merges);
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    return std::tuple(a.score, a.left_length, a.right_length) >
           std::tuple(b.score, b.left_length, b.right_length);
  });
  std::vector<std::pair<std::string_view, std::string_view>> out;
  out.reserve(merges.size());
  for (const Merge& merge : merges) out.emplace_back(merge.left, merge.right);
  return out;
}

}  // namespace aquatint::checkpoint
