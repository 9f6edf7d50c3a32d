// Which token sequences begin alike, so that what they share is run once.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace aquatint::eval {

// Sequences first … first + count − 1 of a sorted list, which share their first `length` tokens; 0: run by
// themselves.
struct PrefixGroup {
  size_t first = 0, count = 0;
  int64_t length = 0;
};

// The order in which sequences that begin alike are neighbours.
std::vector<size_t> prefix_order(std::span<const std::vector<int32_t>> sequences);

// Cuts the sequences, in that order, into groups so that as many tokens as possible are shared. Prefixes of
// fewer than `least` tokens are not worth a cache; a prefix is never a whole sequence, whose last token gives
// the state that predicts.
std::vector<PrefixGroup> prefix_groups(std::span<const std::vector<int32_t>> sequences,
                                       std::span<const size_t> order, int64_t least);

}  // namespace aquatint::eval
