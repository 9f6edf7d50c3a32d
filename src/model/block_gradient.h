// One decoder block over one sequence, forward with what lies between its operations kept, and backward: the
// gradient of a loss by the weights of its linears. For methods that learn weights block by block. Products
// of linears, their gradients' too, are in the backend's precision, all else is in FP32.
#pragma once
#include <array>
#include <span>
#include <vector>

#include "model/attention_gradient.h"
#include "model/decoder.h"

namespace aquatint::model {

// Of the four stages' linears, parts stacked as in Block: [rows][input_width].
using BlockMatrices = std::array<std::vector<float>, kStages.size()>;

class BlockGradient {
 public:
  // `vectors`: the block's norms and biases; its linears' weights are not looked at. The model may not be
  // rotated at run time.
  BlockGradient(const Config& config, int64_t layer, const Block& vectors, const Backend& backend);

  // What the stage's input is rounded to; the gradient passes as if it were not. Schemes with calibrated
  // scales round nothing.
  void round_input(Stage stage, const numeric::ActivationScheme& scheme) {
    roundings_[static_cast<size_t>(stage)] =
        scheme.needs_calibration() ? numeric::ActivationScheme{} : scheme;
  }

  // After round_input(); until the next time.
  void set_weights(const BlockMatrices& weights);

  // `x` and `y` are [rows][hidden_size]; the first row stands at position 0.
  void forward(std::span<const float> x, int64_t rows, std::span<float> y);

  // After forward(). `by_y` is the loss's gradient by y and becomes that by x; what the loss gains by the
  // weights is added to `by_weights`.
  void backward(std::span<float> by_y, BlockMatrices& by_weights);

 private:
  int64_t qkv_width() const { return config_.q_width() + 2 * config_.kv_width(); }
  int64_t width(Stage stage) const { return linear_of(vectors_, stage).rows; }  // of its output
  const std::vector<float>& input(Stage stage) const { return inputs_[static_cast<size_t>(stage)]; }

  void round(Stage stage);
  void linear(Stage stage, std::vector<float>& y);
  std::vector<float> linear_backward(Stage stage, std::span<const float> by_y, BlockMatrices& by_weights);
  void multiply(const kernels::PackedMatrix& w, const float* x, int64_t rows, const float* bias, float* y,
                bool accumulate = false) const;
  void norm_heads(std::vector<float>& qkv) const;
  void norm_heads_backward(std::vector<float>& by_qkv) const;
  void turn(std::vector<float>& qkv, float direction) const;

  const Config& config_;
  const Block& vectors_;
  const Backend& backend_;
  AttentionGradient attention_;
  std::array<numeric::ActivationScheme, kStages.size()> roundings_;
  std::array<std::unique_ptr<kernels::PackedMatrix>, kStages.size()> weights_, transposed_;
  int64_t rows_ = 0;
  std::array<std::vector<float>, kStages.size()> inputs_;  // of the linears
  std::vector<float> x_, middle_;                          // the residual stream before and within
  std::vector<float> raw_qkv_, qkv_;                       // before and after norms and rope
  std::vector<float> gate_up_, out_;
};

}  // namespace aquatint::model
