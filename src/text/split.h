// How pieces of text are split where something matches.
#pragma once
#include <functional>
#include <string>

#include "text/pattern.h"
#include "text/pre_tokenizer.h"

namespace aquatint::text {

// What happens to a match: dropped, a piece of its own, joined to a neighbour, or matches in a row made one
// piece.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

// From its name in tokenizer.json; BadInput when unknown.
SplitBehavior split_behavior(const std::string& name, const std::string& where);

// Splits each piece; `invert` swaps what matches and what lies between.
void split(Pieces& pieces, const Pattern& pattern, SplitBehavior behavior, bool invert);
void split(Pieces& pieces, const std::function<bool(char32_t)>& is_match, SplitBehavior behavior);

}  // namespace aquatint::text
