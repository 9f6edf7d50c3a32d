// What calibration saw at the input of one linear (or of those that share it), and the factors that methods
// make of it.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/huge_vector.h"
#include "model/model.h"
#include "model/state_array.h"
#include "numeric/scheme.h"

namespace aquatint::quant {

// How errors of one column are fed to those that come after it.
struct Feedback {
  std::vector<int64_t> order;  // columns in the order of their turn
  base::HugeVector<float>
      upper;  // [cols][cols] in that order: U's rows over their diagonal, Uᵀ U = (H + λI)⁻¹
  std::vector<float> diagonal;  // of U
  std::vector<uint8_t> dead;    // by column: no token ever had a value there
  double damping = 0;           // λ over the mean of H's diagonal
  std::string note;             // why λ is more than was asked for; empty when it is not
  double condition = 0;  // (largest over smallest diagonal of U)²: a lower bound of H + λI's condition
};

class InputStatistics {
 public:
  // `x` is [tokens][cols]. BadInput, naming `where`, for a value that is NaN or infinite.
  InputStatistics(std::span<const float> x, int64_t cols, const std::string& where,
                  const model::Backend& backend);
  // The same, a few tokens at a time where they lie in a file; `lengths`: tokens of each sample.
  // Without `with_gram` there is no gram() and no feedback(), and output_error() is an estimate.
  InputStatistics(const model::StateArray& x, int64_t cols, std::span<const int64_t> lengths,
                  const std::string& where, const model::Backend& backend, bool with_gram = true);

  int64_t cols() const { return cols_; }
  int64_t tokens() const { return tokens_; }
  std::span<const float> gram() const { return gram_; }            // H = Σ x xᵀ, [cols][cols]
  std::span<const float> importance() const { return diagonal_; }  // H's diagonal: Σ x_j²
  std::span<const float> mean_magnitude() const { return mean_; }
  std::span<const float> max_magnitude() const { return max_; }
  // [kSample][cols]: whole tokens, spread evenly; some twice where there are fewer.
  std::span<const float> sample() const { return sample_; }
  static constexpr int64_t kSample = 512;

  // What an error of weights [rows][cols] makes of the output: tr(error · H · errorᵀ), or without H what the
  // sampled tokens say of it.
  double output_error(std::span<const float> error) const;
  const model::Backend& backend() const { return backend_; }

  // What would have been seen had each column been divided by its scale.
  void divide(std::span<const float> scales);

  // `damp` times the mean of the diagonal is added to it, more (with a warning) when the factorization fails;
  // `by_importance`: columns with the largest diagonal first. Kept until others are asked for.
  const Feedback& feedback(double damp, bool by_importance) const;
  const Feedback* last_feedback() const;  // null: none was asked for

 private:
  InputStatistics(int64_t tokens, int64_t cols, const std::string& where, const model::Backend& backend,
                  bool with_gram);
  void see_pieces(const base::FloatArray& x, std::span<const int64_t> lengths);
  void see(std::span<const float> x, std::span<const int64_t> lengths);
  void see_placed(const model::StateArray& x, std::span<const int64_t> lengths);
  void finish();

  model::Backend backend_;
  int64_t cols_, tokens_;
  std::string where_;
  base::HugeVector<float> gram_;
  std::vector<float> diagonal_, mean_, max_, sample_;
  std::vector<double> sums_, squares_;  // of magnitudes and squares, while tokens are seen
  int64_t seen_ = 0, sampled_ = 0;      // tokens
  struct Kept;
  mutable std::shared_ptr<const Kept> kept_;
};

// The scheme's input with the constants that calibration gives it: scales of static schemes from the largest
// magnitude seen. `inputs` may be null where it needs none.
numeric::ActivationScheme calibrated_input(const numeric::Scheme& scheme, const InputStatistics* inputs);
numeric::ActivationScheme calibrated_input(numeric::ActivationScheme input, float largest);

}  // namespace aquatint::quant
