#include "text/word_cache.h"

namespace aquatint::text {

bool WordCache::append_known(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.size() > kMaxWord) return false;
  const auto it = words_.find(word);
  if (it == words_.end()) return false;
  const auto first = ids_.begin() + it->second.begin;
  ids.insert(ids.end(), first, first + it->second.count);
  return true;
}

void WordCache::remember(std::string_view word, std::span<const int32_t> ids) {
  if (word.size() > kMaxWord || words_.size() == kMaxWords) return;
  words_.emplace(word, Range{static_cast<uint32_t>(ids_.size()), static_cast<uint32_t>(ids.size())});
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

}  // namespace aquatint::text
