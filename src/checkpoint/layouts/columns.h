// What GPTQ and AWQ share: everything lies by input column, [in_features][out_features], codes count from 0
// and zero-points are codes. The hub has rows and two's complement.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/layouts/layout.h"

namespace aquatint::checkpoint {

// The tensors of one weight of `rows` × `cols`.
struct Columns {
  const TensorView* codes = nullptr;   // qweight
  const TensorView* zeros = nullptr;   // qzeros
  const TensorView* scales = nullptr;  // [groups][rows], F16, BF16 or F32
  int64_t rows = 0, cols = 0, group = 0;
  int bits = 4;

  int64_t groups() const { return base::ceil_div(cols, group); }
  uint64_t stored_bytes() const { return codes->bytes.size() + zeros->bytes.size() + scales->bytes.size(); }
};

// Sets rows from the scales, cols and group (`group_size` −1: all columns); BadInput when they contradict
// each other.
void measure(int64_t cols, int64_t group_size, Columns& parts);
// BadInput unless the tensor is I32 of [rows, cols].
void expect_words(const TensorView& tensor, int64_t rows, int64_t cols);

// The matrix without its codes; `zeros` are [groups][rows] and count from 0. Symmetric ones must all stand in
// the middle of the codes (BadInput otherwise) and are dropped.
tensor::QuantizedMatrix column_matrix(const Columns& parts, const std::vector<uint8_t>& zeros,
                                      bool symmetric);
numeric::Scheme column_scheme(const Columns& parts, bool symmetric);

// A reader of such a layout; what differs is how words hold codes.
class ColumnsReader : public LayoutReader {
 public:
  Role role(const TensorView& tensor) const override;
  bool has_weight(std::string_view module) const override;
  tensor::QuantizedMatrix weight(std::string_view module) const override;
  std::string scheme() const override;

 protected:
  ColumnsReader(const SafetensorsSet& files, std::string where) : files_(files), where_(std::move(where)) {}

  // The three tensors, by name only.
  Columns find(const std::string& module) const;
  // The same, measured and checked against each other.
  virtual Columns locate(const std::string& module) const = 0;
  virtual std::vector<uint8_t> zeros_of(const Columns& parts) const = 0;  // as column_matrix() takes them
  // As QuantizedMatrix::deferred.
  virtual std::function<void(int64_t begin, int64_t end, uint8_t* codes)> codes_of(
      const Columns& parts) const = 0;

  const SafetensorsSet& files_;
  std::string where_;
  int64_t group_ = -1;  // quantization_config's group size
  bool symmetric_ = true;
};

// For writing. Whether the weights are signed integers per channel or in groups, inputs left in 16 bit.
bool is_weight_only_integer(const numeric::Scheme& scheme);
// Zero-points of [groups][rows], counted from 0.
std::vector<uint8_t> zeros_by_group(const tensor::QuantizedMatrix& m);
// P.scales as [groups][rows].
void add_scales(const std::string& module, const tensor::QuantizedMatrix& m, TensorSink& sink);

}  // namespace aquatint::checkpoint
