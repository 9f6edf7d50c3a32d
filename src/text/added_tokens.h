// Tokens that are found in the text itself, before and after normalization, and never split.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "text/normalizer.h"
#include "text/vocabulary.h"

namespace aquatint::text {

struct AddedToken {
  std::string content;
  int32_t id;
  bool single_word;  // only between non-word characters
  bool lstrip;       // takes the white space before it along
  bool rstrip;       // … after it
  bool normalized;   // looked for in the normalized text
  bool special;      // left out when decoding without special tokens
};

// A stretch of text that is a token (`id`) or not yet.
struct Segment {
  size_t begin, end;
  std::optional<int32_t> id;
};

// Finds tokens, leftmost and then longest first.
class TokenFinder {
 public:
  // `content` is what to look for; an empty one is never found.
  void add(std::string_view content, const AddedToken& token);
  bool empty() const { return tokens_.empty(); }
  // Segments that cover `text` in order.
  std::vector<Segment> split(std::string_view text) const;

 private:
  struct Match {
    size_t begin, end;
    const AddedToken* token;
  };
  std::optional<Match> find(std::string_view text, size_t from) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<uint64_t, int32_t> edges_;  // (node << 8 | byte) → node
  std::vector<int32_t> token_of_node_ = {-1};    // index into tokens_, or -1; node 0 is the root
  bool starts_[256] = {};                        // bytes that begin some token
};

class AddedTokens {
 public:
  // `list` is "added_tokens" of tokenizer.json. A token that the vocabulary has keeps the vocabulary's id.
  AddedTokens(const base::Json& list, const Vocabulary& vocabulary, const Normalizer* normalizer,
              const std::string& where);

  const TokenFinder& in_raw_text() const { return raw_; }
  const TokenFinder& in_normalized_text() const { return normalized_; }
  std::optional<int32_t> id(std::string_view content) const;
  const AddedToken* token(int32_t id) const;  // null when none has it
  int64_t max_id() const { return max_id_; }

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, size_t> by_content_;
  std::unordered_map<int32_t, size_t> by_id_;
  TokenFinder raw_, normalized_;
  int64_t max_id_ = -1;
};

}  // namespace aquatint::text
