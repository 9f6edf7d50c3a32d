#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "base/error.h"
#include "text/unicode.h"

namespace aquatint::text {
namespace {

using base::BadInput;
using base::Json;

// A candidate merge; the queue yields the lowest rank first, among equals the leftmost.
struct Candidate {
  int32_t rank, position, merged;
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

std::string string_or_empty(const Json& model, const char* key, const std::string& where) {
  return base::string_or(model, key, "", where);
}

}  // namespace

// A run of the piece that has an id. Merged ones form a linked list over the vector.
struct Bpe::Symbol {
  int32_t id;  // -1: merged into its left neighbour
  int32_t previous, next;
};

// (left id, right id) → (rank, merged id): open addressing, at most half full.
struct Bpe::MergeTable {
  struct Slot {
    uint64_t key = kFree;
    int32_t rank = 0, merged = 0;
  };
  static constexpr uint64_t kFree = UINT64_MAX;

  explicit MergeTable(size_t count) : slots(std::bit_ceil(count * 2 + 2)) {}

  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const {
    size_t i = seeded_hash(key) & (slots.size() - 1);
    while (slots[i].key != kFree && slots[i].key != key) i = (i + 1) & (slots.size() - 1);
    return i;
  }
  void set(int32_t left, int32_t right, int32_t rank, int32_t merged) {
    const uint64_t k = key(left, right);
    slots[slot_of(k)] = {k, rank, merged};
  }
  const Slot* find(int32_t left, int32_t right) const {
    const Slot& slot = slots[slot_of(key(left, right))];
    return slot.key == kFree ? nullptr : &slot;
  }

  std::vector<Slot> slots;
};

Bpe::Bpe(const Json& model, std::vector<std::pair<std::string, int32_t>> vocab,
         const std::vector<std::pair<std::string, std::string>>& merges, const std::string& where)
    : vocabulary_(std::move(vocab), where),
      merges_(std::make_unique<MergeTable>(merges.size())),
      prefix_(string_or_empty(model, "continuing_subword_prefix", where)),
      suffix_(string_or_empty(model, "end_of_word_suffix", where)),
      fuse_unk_(base::bool_or(model, "fuse_unk", false, where)),
      ignore_merges_(base::bool_or(model, "ignore_merges", false, where)) {
  if (base::number_or(model, "dropout", 0, where) != 0)
    throw BadInput(fmt::format("{}: model.dropout is not 0: such a tokenizer gives random ids", where));
  if (const std::string unk = string_or_empty(model, "unk_token", where); !unk.empty()) {
    unk_ = vocabulary_.id(unk);
    if (!unk_) throw BadInput(fmt::format("{}: model.unk_token \"{}\" is not in the vocabulary", where, unk));
  }
  const auto require = [&](const std::string& token, size_t rank) {
    const auto id = vocabulary_.id(token);
    if (!id)
      throw BadInput(
          fmt::format("{}: merge {} needs \"{}\", which the vocabulary lacks", where, rank, token));
    return *id;
  };
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const std::string merged = left + (right.starts_with(prefix_) ? right.substr(prefix_.size()) : right);
    const int32_t left_id = require(left, rank), right_id = require(right, rank);
    merges_->set(left_id, right_id, static_cast<int32_t>(rank), require(merged, rank));
  }
  if (base::bool_or(model, "byte_fallback", false, where)) {
    byte_ids_.emplace();
    for (int b = 0; b < 256; ++b) (*byte_ids_)[b] = vocabulary_.id(fmt::format("<0x{:02X}>", b)).value_or(-1);
  }
  for (char32_t c = 0; c < short_ids_.size(); ++c) {
    std::string character;
    append_utf8(character, c);
    short_ids_[c] = vocabulary_.id(character).value_or(-1);
  }
}

Bpe::~Bpe() = default;

std::optional<int32_t> Bpe::character_id(std::string_view character, bool is_first, bool is_last) const {
  const bool decorated = (!is_first && !prefix_.empty()) || (is_last && !suffix_.empty());
  if (decorated) {
    std::string whole = is_first ? "" : prefix_;
    whole += character;
    if (is_last) whole += suffix_;
    return vocabulary_.id(whole);
  }
  const CodePoint c = decode_utf8(character, 0);
  if (c.value >= short_ids_.size()) return vocabulary_.id(character);
  return short_ids_[c.value] < 0 ? std::nullopt : std::optional(short_ids_[c.value]);
}

// The ids of the character's bytes; nothing unless all of them have one.
void Bpe::append_bytes(std::string_view character, std::vector<Symbol>& symbols) const {
  const auto id = [&](char byte) { return (*byte_ids_)[static_cast<unsigned char>(byte)]; };
  if (std::any_of(character.begin(), character.end(), [&](char byte) { return id(byte) < 0; })) return;
  for (const char byte : character) symbols.push_back({id(byte), 0, 0});
}

std::vector<Bpe::Symbol> Bpe::first_symbols(std::string_view piece) const {
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  // An unknown is held back until a known character or the end, and passed by bytes in between: so does the
  // library.
  bool pending_unk = false;
  for (size_t at = 0; at < piece.size();) {
    const std::string_view character = piece.substr(at, decode_utf8(piece, at).length);
    const bool is_first = at == 0;
    at += character.size();
    const bool is_last = at == piece.size();
    if (const auto id = character_id(character, is_first, is_last)) {
      if (pending_unk) symbols.push_back({*unk_, 0, 0});
      pending_unk = false;
      symbols.push_back({*id, 0, 0});
      continue;
    }
    if (byte_ids_) {
      const size_t before = symbols.size();
      append_bytes(character, symbols);
      if (symbols.size() > before) continue;
    }
    if (!unk_) continue;
    if (pending_unk && !fuse_unk_) symbols.push_back({*unk_, 0, 0});
    pending_unk = true;
  }
  if (pending_unk) symbols.push_back({*unk_, 0, 0});
  for (size_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = static_cast<int32_t>(i) - 1;
    symbols[i].next = i + 1 < symbols.size() ? static_cast<int32_t>(i) + 1 : -1;
  }
  return symbols;
}

void Bpe::merge_all(std::vector<Symbol>& symbols) const {
  std::vector<Candidate> first;
  const auto candidate = [&](int32_t left, int32_t right) -> std::optional<Candidate> {
    const auto* merge = merges_->find(symbols[left].id, symbols[right].id);
    if (!merge) return std::nullopt;
    return Candidate{merge->rank, left, merge->merged};
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i)
    if (const auto c = candidate(static_cast<int32_t>(i), static_cast<int32_t>(i) + 1)) first.push_back(*c);
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(first));
  const auto offer = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    if (const auto c = candidate(left, right)) queue.push(*c);
  };
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.position];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    const auto* merge = merges_->find(left.id, right.id);  // stale when a neighbour has changed since
    if (!merge || merge->merged != top.merged) continue;
    left.id = merge->merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[left.next].previous = top.position;
    offer(left.previous, top.position);
    offer(top.position, left.next);
  }
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (ignore_merges_)
    if (const auto whole = vocabulary_.id(piece)) {
      ids.push_back(*whole);
      return;
    }
  std::vector<Symbol> symbols = first_symbols(piece);
  merge_all(symbols);
  for (const Symbol& symbol : symbols)
    if (symbol.id >= 0) ids.push_back(symbol.id);
}

}  // namespace aquatint::text
