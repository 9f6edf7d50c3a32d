// How a model asks its cache of keys and values to be held. Presets are appended to a scheme's name:
// W4A16+KV8.
#pragma once
#include <span>
#include <string_view>

#include "numeric/format.h"

namespace aquatint::numeric {

struct KvScheme {
  std::string_view name;  // of a preset, or empty
  const Format* format = nullptr;
  // Scales from the values at hand; otherwise one calibrated for the keys, and one for the values, of a
  // layer.
  bool dynamic = true;
  std::string_view note;

  bool needs_calibration() const { return !dynamic; }
};

std::span<const KvScheme> kv_schemes();
const KvScheme* find_kv_scheme(std::string_view name);  // nullptr when unknown; names are case-insensitive
// The preset of this format and kind of scales; nullptr when there is none.
const KvScheme* find_kv_scheme(const Format& format, bool dynamic);

// "W4A16+KV8" in its two halves; the second is empty without a '+'.
struct SchemeWords {
  std::string_view scheme, kv;
};
SchemeWords split_scheme(std::string_view words);

}  // namespace aquatint::numeric
