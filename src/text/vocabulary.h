// Token strings ↔ ids, as a model's "vocab" gives them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace aquatint::text {

// Ids from a file lie below this: it bounds the tables indexed by them. (The largest vocabulary known has 262
// 144.)
constexpr int64_t kMaxTokenId = int64_t{1} << 22;

// A mixed 64-bit hash with a seed of this process, so that no file can be made to collide.
uint64_t seeded_hash(uint64_t value);
uint64_t seeded_hash(std::string_view bytes);

class Vocabulary {
 public:
  // BadInput when one string has two ids or two strings share one.
  Vocabulary(std::vector<std::pair<std::string, int32_t>> entries, const std::string& where);

  std::optional<int32_t> id(std::string_view token) const;
  const std::string* token(int32_t id) const;  // null when no token has it
  int64_t max_id() const { return static_cast<int64_t>(entry_of_id_.size()) - 1; }
  size_t size() const { return entries_.size(); }

 private:
  struct Hash {
    size_t operator()(std::string_view s) const { return seeded_hash(s); }
  };
  std::vector<std::pair<std::string, int32_t>> entries_;
  std::unordered_map<std::string_view, int32_t, Hash> ids_;  // keys view entries_
  std::vector<int32_t> entry_of_id_;                         // -1: none
};

}  // namespace aquatint::text
