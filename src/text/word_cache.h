// Ids of words met before in one text. Bounded: when it is full, new words are not remembered.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/vocabulary.h"

namespace aquatint::text {

class WordCache {
 public:
  bool append_known(std::string_view word, std::vector<int32_t>& ids) const;
  void remember(std::string_view word, std::span<const int32_t> ids);

 private:
  static constexpr size_t kMaxWord = 64;      // bytes; longer words seldom come back
  static constexpr size_t kMaxWords = 65536;  // 64 Ki words of at most 64 bytes and ids: some 25 MB
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return seeded_hash(s); }
  };
  struct Range {
    uint32_t begin, count;  // in ids_
  };
  std::unordered_map<std::string, Range, Hash, std::equal_to<>> words_;
  std::vector<int32_t> ids_;
};

}  // namespace aquatint::text
