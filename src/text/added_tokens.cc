#include "text/added_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "text/unicode.h"

namespace aquatint::text {
namespace {

using base::BadInput;
using base::Json;

// Bounds the work at each position of a text, whatever the file and the text.
constexpr size_t kMaxContent = 1024;

CodePoint last_code_point(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return decode_utf8(text, at);
}

bool ends_in_word(std::string_view text) { return !text.empty() && is_word(last_code_point(text).value); }
bool starts_with_word(std::string_view text) { return !text.empty() && is_word(decode_utf8(text, 0).value); }

size_t white_space_at_end(std::string_view text) {
  const size_t all = text.size();
  while (!text.empty()) {
    const CodePoint c = last_code_point(text);
    if (!is_white_space(c.value)) break;
    text.remove_suffix(c.length);
  }
  return all - text.size();
}

size_t white_space_at_start(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const CodePoint c = decode_utf8(text, at);
    if (!is_white_space(c.value)) break;
    at += c.length;
  }
  return at;
}

AddedToken read_token(const Json& entry, const std::string& where) {
  AddedToken token;
  token.content = base::require_string(entry, "content", where);
  token.id = static_cast<int32_t>(base::require_int(entry, "id", where, 0, kMaxTokenId - 1));
  token.special = base::bool_or(entry, "special", false, where);
  token.single_word = base::bool_or(entry, "single_word", false, where);
  token.lstrip = base::bool_or(entry, "lstrip", false, where);
  token.rstrip = base::bool_or(entry, "rstrip", false, where);
  token.normalized = base::bool_or(entry, "normalized", !token.special, where);
  if (token.content.size() > kMaxContent)
    throw BadInput(fmt::format("{}: the added token with id {} has {} bytes, expected at most {}", where,
                               token.id, token.content.size(), kMaxContent));
  return token;
}

}  // namespace

void TokenFinder::add(std::string_view content, const AddedToken& token) {
  if (content.empty()) return;
  uint64_t node = 0;
  for (const char c : content) {
    const auto next = static_cast<int32_t>(token_of_node_.size());
    const auto [edge, is_new] = edges_.emplace(node << 8 | static_cast<unsigned char>(c), next);
    if (is_new) token_of_node_.push_back(-1);
    node = static_cast<uint64_t>(edge->second);
  }
  if (token_of_node_[node] >= 0) return;  // two tokens that look the same: the first one counts
  token_of_node_[node] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
  starts_[static_cast<unsigned char>(content[0])] = true;
}

std::optional<TokenFinder::Match> TokenFinder::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    std::optional<Match> longest;
    uint64_t node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      const auto edge = edges_.find(node << 8 | static_cast<unsigned char>(text[at]));
      if (edge == edges_.end()) break;
      node = static_cast<uint64_t>(edge->second);
      if (token_of_node_[node] >= 0) longest = Match{begin, at + 1, &tokens_[token_of_node_[node]]};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

std::vector<Segment> TokenFinder::split(std::string_view text) const {
  std::vector<Segment> segments;
  size_t done = 0, from = 0;
  for (auto match = find(text, 0); match; match = find(text, from)) {
    size_t begin = match->begin, end = match->end;
    const AddedToken& token = *match->token;
    from = end;
    if (token.single_word && (ends_in_word(text.substr(0, begin)) || starts_with_word(text.substr(end))))
      continue;
    if (token.lstrip) begin -= white_space_at_end(text.substr(done, begin - done));
    if (token.rstrip) from = end += white_space_at_start(text.substr(end));
    if (done < begin) segments.push_back({done, begin, std::nullopt});
    segments.push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size()) segments.push_back({done, text.size(), std::nullopt});
  return segments;
}

AddedTokens::AddedTokens(const Json& list, const Vocabulary& vocabulary, const Normalizer* normalizer,
                         const std::string& where) {
  if (list.is_null()) return;
  if (!list.is_array()) throw BadInput(fmt::format("{}: key \"added_tokens\" must be a list", where));
  for (const Json& entry : list) {
    AddedToken token = read_token(entry, where);
    if (token.content.empty() || by_content_.contains(token.content)) continue;
    if (const auto id = vocabulary.id(token.content); id && *id != token.id) {
      base::warn("{}: added token \"{}\" has id {}, the vocabulary gives it {}, which is used", where,
                 token.content, token.id, *id);
      token.id = *id;
    }
    const std::string* other = vocabulary.token(token.id);
    if ((other && *other != token.content) || !by_id_.emplace(token.id, tokens_.size()).second)
      throw BadInput(fmt::format("{}: added token \"{}\" has id {}, which another token has", where,
                                 token.content, token.id));
    by_content_.emplace(token.content, tokens_.size());
    max_id_ = std::max<int64_t>(max_id_, token.id);
    tokens_.push_back(std::move(token));
  }
  for (const bool special : {true, false})  // where two look the same once normalized, a special one counts
    for (const AddedToken& token : tokens_) {
      if (token.special != special) continue;
      if (!token.normalized)
        raw_.add(token.content, token);
      else
        normalized_.add(normalizer ? normalizer->apply(token.content) : token.content, token);
    }
}

std::optional<int32_t> AddedTokens::id(std::string_view content) const {
  const auto it = by_content_.find(std::string(content));
  return it == by_content_.end() ? std::nullopt : std::optional(tokens_[it->second].id);
}

const AddedToken* AddedTokens::token(int32_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &tokens_[it->second];
}

}  // namespace aquatint::text
