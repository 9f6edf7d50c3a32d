// What an error adds to a word that nobody knows.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace aquatint::base {

// "; did you mean 'x'?" for the known word nearest to `word` when it is near, else "; known: a, b, c".
std::string suggestion(std::string_view word, std::span<const std::string_view> known);

}  // namespace aquatint::base
