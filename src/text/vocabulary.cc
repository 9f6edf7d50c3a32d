#include "text/vocabulary.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "base/error.h"

namespace aquatint::text {
namespace {

uint64_t process_seed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return (uint64_t{device()} << 32 | device()) | 1;
  }();
  return seed;
}

uint64_t fold(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15u;

}  // namespace

uint64_t seeded_hash(uint64_t value) { return fold(value ^ process_seed(), kMultiplier); }

uint64_t seeded_hash(std::string_view bytes) {
  const uint64_t seed = process_seed();
  uint64_t state = seed ^ bytes.size();
  for (; bytes.size() > 8; bytes.remove_prefix(8)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    state = fold(state ^ word, kMultiplier) + seed;
  }
  uint64_t word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  return fold(fold(state ^ word, kMultiplier), seed ^ kMultiplier);
}

Vocabulary::Vocabulary(std::vector<std::pair<std::string, int32_t>> entries, const std::string& where)
    : entries_(std::move(entries)) {
  int32_t max_id = -1;
  for (const auto& [token, id] : entries_) max_id = std::max(max_id, id);
  entry_of_id_.assign(static_cast<size_t>(max_id + 1), -1);
  ids_.reserve(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    const auto& [token, id] = entries_[i];
    if (!ids_.emplace(token, id).second)
      throw base::BadInput(fmt::format("{}: the vocabulary lists token \"{}\" twice", where, token));
    if (entry_of_id_[id] >= 0)
      throw base::BadInput(fmt::format("{}: tokens \"{}\" and \"{}\" of the vocabulary share id {}", where,
                                       entries_[entry_of_id_[id]].first, token, id));
    entry_of_id_[id] = static_cast<int32_t>(i);
  }
}

std::optional<int32_t> Vocabulary::id(std::string_view token) const {
  const auto it = ids_.find(token);
  return it == ids_.end() ? std::nullopt : std::optional(it->second);
}

const std::string* Vocabulary::token(int32_t id) const {
  if (id < 0 || id > max_id() || entry_of_id_[id] < 0) return nullptr;
  return &entries_[entry_of_id_[id]].first;
}

}  // namespace aquatint::text
