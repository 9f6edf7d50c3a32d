#include "numeric/composed_scheme.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace aquatint::numeric {
namespace {

constexpr int kLargestGroup = 1 << 20;

std::vector<std::string_view> split(std::string_view words, char at) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = words.find(at, begin);
    parts.push_back(words.substr(begin, end - begin));
    if (end == words.npos) return parts;
    begin = end + 1;
  }
}

// A format that scales can stand beside: it has both signs, and eight bits at most.
const Format* code_format(std::string_view name) {
  const Format* format = find_format(name);
  const bool fits = format && format->bits <= 8 && format->kind != Kind::codebook;
  return fits && format->decode(format->encode(-1.0f)) == -1.0f ? format : nullptr;
}

std::optional<int> group_size(std::string_view word) {
  constexpr std::string_view kGroup = "group";
  if (!word.starts_with(kGroup)) return std::nullopt;
  word.remove_prefix(kGroup.size());
  int size = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), size);
  const bool whole = error == std::errc{} && end == word.data() + word.size();
  return whole && size >= 1 && size <= kLargestGroup ? std::optional(size) : std::nullopt;
}

std::optional<WeightScheme> parse_weights(std::string_view words) {
  const std::vector<std::string_view> parts = split(words, ':');
  if (parts.size() < 2 || parts.size() > 3) return std::nullopt;
  WeightScheme weights{.format = code_format(parts[0])};
  if (!weights.format) return std::nullopt;
  if (parts.size() == 3) {
    if (parts[2] != "asym" || weights.format->kind != Kind::integer) return std::nullopt;
    weights.symmetric = false;
  }
  if (const std::optional<int> size = group_size(parts[1])) {
    weights.granularity = Granularity::group;
    weights.group = *size;
    weights.scale_format = &bf16;
  } else if (parts[1] == "tensor" || parts[1] == "channel") {
    weights.granularity = parts[1] == "tensor" ? Granularity::tensor : Granularity::channel;
  } else {
    return std::nullopt;
  }
  return weights;
}

std::optional<ActivationScheme> parse_input(std::string_view words) {
  const std::vector<std::string_view> parts = split(words, ':');
  if (parts.size() != 2) return std::nullopt;
  ActivationScheme input{.format = code_format(parts[0])};
  if (!input.format || (parts[1] != "token" && parts[1] != "tensor")) return std::nullopt;
  input.dynamic = parts[1] == "token";
  input.granularity = input.dynamic ? Granularity::token : Granularity::tensor;
  return input;
}

std::optional<Scheme> parse(std::string_view words) {
  const std::vector<std::string_view> sides = split(words, '/');
  const std::optional<WeightScheme> weights = parse_weights(sides[0]);
  if (!weights || sides.size() > 2) return std::nullopt;
  Scheme scheme;
  scheme.weights = *weights;
  scheme.note = "put together in words";
  if (sides.size() == 1) return scheme;
  const std::optional<ActivationScheme> input = parse_input(sides[1]);
  if (!input) return std::nullopt;
  scheme.input = *input;
  return scheme;
}

std::string words_of(const WeightScheme& w) {
  std::string words(w.format->name);
  words += w.granularity == Granularity::tensor    ? ":tensor"
           : w.granularity == Granularity::channel ? ":channel"
                                                   : ":group" + std::to_string(w.group);
  return w.symmetric ? words : words + ":asym";
}

}  // namespace

const Scheme* composed_scheme(std::string_view words) {
  static std::mutex mutex;
  static std::map<std::string, Scheme, std::less<>> known;
  std::string lower(words);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::lock_guard lock(mutex);
  if (const auto found = known.find(lower); found != known.end()) return &found->second;
  std::optional<Scheme> scheme = parse(lower);
  if (!scheme) return nullptr;
  const auto [entry, is_new] = known.emplace(std::move(lower), *scheme);
  entry->second.name = entry->first;
  return &entry->second;
}

const Scheme* composed_like(const Scheme& scheme) {
  std::string words = words_of(scheme.weights);
  if (const Format* format = scheme.input.format)
    words += "/" + std::string(format->name) + (scheme.input.dynamic ? ":token" : ":tensor");
  const Scheme* composed = composed_scheme(words);
  if (!composed) return nullptr;
  Scheme like = scheme;
  if (like.weights.scale_format->bits >= 16) like.weights.scale_format = composed->weights.scale_format;
  return same_form(like, *composed) ? composed : nullptr;
}

}  // namespace aquatint::numeric
