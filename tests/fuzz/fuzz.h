// What every fuzz target does: feed the bytes to a parser; a refusal is fine, anything else that is thrown is
// a bug.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace aquatint::fuzz {

inline std::string_view text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

template <class Parse>
int refuse_or_parse(Parse parse) {
  try {
    parse();
  } catch (const base::Error&) {
  }
  return 0;
}

}  // namespace aquatint::fuzz
