#include "numeric/kv_scheme.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace aquatint::numeric {
namespace {

constexpr std::array kSchemes = {
    KvScheme{"KV8", &int8, true, "int8 keys and values, a scale for each token and head"},
    KvScheme{"KVFP8", &fp8_e4m3, false, "E4M3 keys and values, calibrated scales for each layer"},
    KvScheme{"KV4", &int4, true,
             "int4 keys per channel in groups of tokens, values per token, the newest tokens in 16 bit"},
};

}  // namespace

std::span<const KvScheme> kv_schemes() { return kSchemes; }

const KvScheme* find_kv_scheme(std::string_view name) {
  const auto upper = [](unsigned char c) { return std::toupper(c); };
  for (const KvScheme& scheme : kSchemes)
    if (std::equal(scheme.name.begin(), scheme.name.end(), name.begin(), name.end(), [&](char a, char b) {
          return upper(static_cast<unsigned char>(a)) == upper(static_cast<unsigned char>(b));
        }))
      return &scheme;
  return nullptr;
}

const KvScheme* find_kv_scheme(const Format& format, bool dynamic) {
  for (const KvScheme& scheme : kSchemes)
    if (scheme.format == &format && scheme.dynamic == dynamic) return &scheme;
  return nullptr;
}

SchemeWords split_scheme(std::string_view words) {
  const size_t plus = words.find('+');
  if (plus == words.npos) return {words, {}};
  return {words.substr(0, plus), words.substr(plus + 1)};
}

}  // namespace aquatint::numeric
