// Orthogonal maps that spread large values over all columns, made from a width and a seed alone:
//
//   y = x · R,   R = diag(signs) · (Mᵀ ⊗ H) / √(what makes R orthogonal)
//
// H is the Walsh-Hadamard matrix of the largest power of two left beside M, which covers the rest of the
// width: a Hadamard matrix where Paley's constructions have one (576 = 36 · 16, 1536 = 12 · 128), otherwise
// the Hartley matrix cos(2πij/m) + sin(2πij/m), whose entries are the flattest that go without.
#pragma once
#include <cstdint>
#include <vector>

namespace aquatint::tensor {

class Rotation {
 public:
  // `width` as exists() allows.
  Rotation(int64_t width, uint64_t seed);
  static bool exists(int64_t width);

  int64_t width() const { return width_; }
  uint64_t seed() const { return seed_; }
  // Column order · run + i of M's row (or column) `order` and H's i.
  int64_t order() const { return order_; }         // of M
  int64_t run() const { return width_ / order_; }  // of H
  // What one row goes through: forwards signs, H, M, scale; backwards the transposes in the other order.
  const float* signs() const { return signs_.data(); }  // [width], ±1
  // [order][order]: output i of M is Σ mix[i][j] · input j. Empty when order is 1.
  const std::vector<float>& mix(bool inverse) const { return inverse ? unmix_ : mix_; }
  float scale() const { return scale_; }

 private:
  int64_t width_, order_;
  uint64_t seed_;
  float scale_;
  std::vector<float> signs_, mix_, unmix_;
};

}  // namespace aquatint::tensor
