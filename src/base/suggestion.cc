#include "base/suggestion.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace aquatint::base {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string suggestion(std::string_view word, std::span<const std::string_view> known) {
  std::string_view nearest;
  size_t best = 1 + std::max<size_t>(2, word.size() / 3);
  std::string all;
  for (const std::string_view candidate : known) {
    all += fmt::format("{}{}", all.empty() ? "" : ", ", candidate);
    const size_t distance = word.size() > 64 ? best : edit_distance(word, candidate);
    if (distance >= best) continue;
    best = distance;
    nearest = candidate;
  }
  return nearest.empty() ? "; known: " + all : fmt::format("; did you mean '{}'?", nearest);
}

}  // namespace aquatint::base
