// Byte-pair encoding: one piece of text → ids, by merging neighbours, the earliest learned pair first
// (Sennrich et al. 2016, as in Hugging Face tokenizers).
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/vocabulary.h"

namespace aquatint::text {

class Bpe {
 public:
  // `model` is the "model" object without its tables. BadInput when a merge names what the vocabulary lacks.
  Bpe(const base::Json& model, std::vector<std::pair<std::string, int32_t>> vocab,
      const std::vector<std::pair<std::string, std::string>>& merges, const std::string& where);
  ~Bpe();

  // Appends the ids of `piece` (well-formed UTF-8, not empty). O(n log n).
  void encode(std::string_view piece, std::vector<int32_t>& ids) const;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Symbol;
  struct MergeTable;
  std::vector<Symbol> first_symbols(std::string_view piece) const;
  std::optional<int32_t> character_id(std::string_view character, bool is_first, bool is_last) const;
  void append_bytes(std::string_view character, std::vector<Symbol>& symbols) const;
  void merge_all(std::vector<Symbol>& symbols) const;

  Vocabulary vocabulary_;
  std::unique_ptr<MergeTable> merges_;
  std::optional<int32_t> unk_;
  std::string prefix_, suffix_;  // of pieces that continue a word, that end one; mostly empty
  bool fuse_unk_, ignore_merges_;
  std::optional<std::array<int32_t, 256>> byte_ids_;  // of <0x00> … <0xFF>, -1: none; only with byte fallback
  std::array<int32_t, 0x200> short_ids_;              // of single characters below U+0200, -1: none
};

}  // namespace aquatint::text
