#include "tensor/rotation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/rng.h"

namespace aquatint::tensor {
namespace {

constexpr int64_t kWidest = int64_t{1} << 20;
// M costs its order in products for each value, and order² in memory.
constexpr int64_t kLargestHadamard = 512, kLargestHartley = 1024;

bool is_prime(int64_t n) {
  if (n < 2) return false;
  for (int64_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return true;
}

// Paley's first construction makes order q + 1 of a prime q ≡ 3 mod 4, the second 2 (q + 1) of q ≡ 1 mod 4.
bool is_first(int64_t order) { return order % 4 == 0 && is_prime(order - 1); }
bool is_second(int64_t order) { return order % 4 == 0 && order / 2 % 4 == 2 && is_prime(order / 2 - 1); }

int64_t power_of_two_in(int64_t n) { return n & -n; }

// 0: neither a Hadamard matrix within reach nor a Hartley matrix small enough.
int64_t order_for(int64_t width) {
  const int64_t power = power_of_two_in(width), odd = width / power;
  if (odd == 1) return 1;
  for (int64_t order = 4 * odd; order <= std::min(odd * power, kLargestHadamard); order *= 2)
    if (is_first(order) || is_second(order)) return order;
  return odd <= kLargestHartley ? odd : 0;
}

// χ(i − j) for i, j < q: 1 where i − j is a square modulo q, −1 where it is not, 0 on the diagonal.
std::vector<float> residues(int64_t q) {
  std::vector<float> chi(static_cast<size_t>(q), -1.0f);
  chi[0] = 0;
  for (int64_t i = 1; i < q; ++i) chi[static_cast<size_t>(i * i % q)] = 1;
  return chi;
}

// The conference matrix of order q + 1: first row 1, first column ±1, the rest χ(i − j); zero diagonal.
std::vector<float> conference(int64_t q, float column) {
  const int64_t n = q + 1;
  const std::vector<float> chi = residues(q);
  std::vector<float> c(static_cast<size_t>(n * n));
  for (int64_t i = 1; i < n; ++i) {
    c[static_cast<size_t>(i)] = 1;
    c[static_cast<size_t>(i * n)] = column;
    for (int64_t j = 1; j < n; ++j)
      c[static_cast<size_t>(i * n + j)] = chi[static_cast<size_t>((i - j + q) % q)];
  }
  return c;
}

std::vector<float> first_paley(int64_t order) {
  std::vector<float> m = conference(order - 1, -1);
  for (int64_t i = 0; i < order; ++i) m[static_cast<size_t>(i * order + i)] = 1;
  return m;
}

// Each entry becomes 2 × 2: ±1 as ±(1 1; 1 −1), 0 as (1 −1; −1 −1).
std::vector<float> second_paley(int64_t order) {
  constexpr float kOne[2][2] = {{1, 1}, {1, -1}}, kZero[2][2] = {{1, -1}, {-1, -1}};
  const int64_t half = order / 2;
  const std::vector<float> c = conference(half - 1, 1);
  std::vector<float> m(static_cast<size_t>(order * order));
  for (int64_t i = 0; i < order; ++i)
    for (int64_t j = 0; j < order; ++j) {
      const float entry = c[static_cast<size_t>(i / 2 * half + j / 2)];
      m[static_cast<size_t>(i * order + j)] = entry == 0 ? kZero[i % 2][j % 2] : entry * kOne[i % 2][j % 2];
    }
  return m;
}

// Times √order, so that its rows have the length of a Hadamard matrix's.
std::vector<float> hartley(int64_t order) {
  std::vector<float> m(static_cast<size_t>(order * order));
  for (int64_t i = 0; i < order; ++i)
    for (int64_t j = 0; j < order; ++j) {
      const double angle =
          2 * std::numbers::pi * static_cast<double>(i * j % order) / static_cast<double>(order);
      m[static_cast<size_t>(i * order + j)] = static_cast<float>(std::cos(angle) + std::sin(angle));
    }
  return m;
}

std::vector<float> mixing(int64_t order) {
  if (order == 1) return {};
  return is_first(order) ? first_paley(order) : is_second(order) ? second_paley(order) : hartley(order);
}

std::vector<float> transposed(const std::vector<float>& m, int64_t order) {
  std::vector<float> t(m.size());
  for (size_t i = 0, n = static_cast<size_t>(order); i < m.size(); ++i) t[i % n * n + i / n] = m[i];
  return t;
}

}  // namespace

bool Rotation::exists(int64_t width) { return width >= 1 && width <= kWidest && order_for(width) > 0; }

Rotation::Rotation(int64_t width, uint64_t seed)
    : width_(width),
      order_(exists(width) ? order_for(width) : 0),
      seed_(seed),
      scale_(static_cast<float>(1 / std::sqrt(static_cast<double>(width)))) {
  AQ_CHECK(order_ > 0, "no rotation of width {}", width);
  base::Rng rng(seed);
  signs_.reserve(static_cast<size_t>(width));
  for (int64_t i = 0; i < width; ++i) signs_.push_back(rng.next() >> 63 ? -1.0f : 1.0f);
  mix_ = mixing(order_);
  unmix_ = transposed(mix_, order_);
}

}  // namespace aquatint::tensor
