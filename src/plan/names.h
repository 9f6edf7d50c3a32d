// Names that users type in any case.
#pragma once
#include <cctype>
#include <string>
#include <string_view>

namespace aquatint::plan {

inline std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

inline bool same_name(std::string_view a, std::string_view b) { return upper(a) == upper(b); }

}  // namespace aquatint::plan
