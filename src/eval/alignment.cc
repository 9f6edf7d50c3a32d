#include "eval/alignment.h"

#include <bit>
#include <span>

namespace aquatint::eval {
namespace {

constexpr size_t kRows = 64;  // of a strip

// Calls strip(matches, rows) for each 64 tokens of a, top down; matches[token] has the bit of each row that
// holds the token.
template <class Strip>
void each_strip(const NumberedPair& pair, Strip strip) {
  std::vector<uint64_t> matches(pair.distinct);
  for (size_t first = 0; first < pair.a.size(); first += kRows) {
    const auto rows = std::span(pair.a).subspan(first, std::min(kRows, pair.a.size() - first));
    for (size_t i = 0; i < rows.size(); ++i) matches[rows[i]] |= uint64_t{1} << i;
    strip(std::span<const uint64_t>(matches), rows.size());
    for (const uint32_t token : rows) matches[token] = 0;
  }
}

}  // namespace

// Hyyrö (2004, "Bit-parallel LCS-length computation revisited"): a zero bit is a row where the common
// subsequence grows. The sum of a column carries into the strip below.
int64_t longest_common_subsequence(const NumberedPair& pair) {
  std::vector<uint8_t> carries(pair.b.size());
  int64_t length = 0;
  each_strip(pair, [&](std::span<const uint64_t> matches, size_t) {
    uint64_t rows = ~uint64_t{0};
    for (size_t j = 0; j < pair.b.size(); ++j) {
      const uint64_t matched = rows & matches[pair.b[j]];
      const uint64_t sum = rows + matched, with_carry = sum + carries[j];
      carries[j] = sum < rows || with_carry < sum;
      rows = with_carry | (rows & ~matched);
    }
    length += std::popcount(~rows);
  });
  return length;
}

// Myers (1999, J. ACM 46:395) in the form of Hyyrö (2003, Nordic J. Comput. 10:29): `up` and `down` are the
// rows whose distance is one more or less than the row above, `steps` those of a strip's last row over the
// columns, handed to the strip below.
int64_t edit_distance(const NumberedPair& pair) {
  std::vector<int8_t> steps(pair.b.size(), 1);
  each_strip(pair, [&](std::span<const uint64_t> matches, size_t rows) {
    uint64_t up = ~uint64_t{0}, down = 0;
    for (size_t j = 0; j < pair.b.size(); ++j) {
      const uint64_t above_up = steps[j] > 0, above_down = steps[j] < 0;
      const uint64_t match = matches[pair.b[j]], diagonal = match | above_down;
      const uint64_t equal = (((diagonal & up) + up) ^ up) | diagonal;
      uint64_t step_up = down | ~(equal | up), step_down = up & equal;
      steps[j] = static_cast<int8_t>((step_up >> (rows - 1) & 1) - (step_down >> (rows - 1) & 1));
      step_up = step_up << 1 | above_up;
      step_down = step_down << 1 | above_down;
      const uint64_t vertical = match | down;
      up = step_down | ~(vertical | step_up);
      down = step_up & vertical;
    }
  });
  auto distance = static_cast<int64_t>(pair.a.size());
  for (const int8_t step : steps) distance += step;
  return distance;
}

}  // namespace aquatint::eval
