// A method finds the codes and scales of one weight matrix under a weight scheme. Methods are values in one
// table (methods/registry.cc); the command line's help, the pipeline and the tests iterate it.
#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "base/thread_pool.h"
#include "numeric/scheme.h"
#include "tensor/quantized_matrix.h"

namespace aquatint::quant {

// Whether scales may be smaller than the largest value asks for. `mse` searches the scale that fits each
// block best.
enum class Clip { none, mse };

// mse for integers and floats below 8 bits. none for 8 bits, and for code books (NF4, FP4), whose absmax is
// their definition and where the search gains nothing (NF4 on SmolLM2-135M: mean KLD 0.22 either way,
// perplexity 24.6 without).
Clip default_clip(const numeric::WeightScheme& scheme);
Clip parse_clip(std::string_view name);  // "none", "mse"; BadUsage otherwise
std::string_view clip_name(Clip clip);

struct MethodOptions {
  Clip clip = Clip::none;
  // diag(H), `cols` values ≥ 0: how much an error in each input column matters. Empty: all alike.
  std::span<const float> importance;
  // The magnitude that a scale of the whole matrix is taken from, where it is shared by matrices that servers
  // fuse (q, k, v; gate, up); 0: the matrix's own.
  float largest = 0;
};

struct Method {
  std::string_view name;
  std::string_view note;
  // `weights` is row-major [rows][cols], finite; `scheme.group` is the group size really used and divides
  // cols where the granularity is `group`. The result is the same for any number of threads. Its stored_bytes
  // counts codes at their packed width, scales and zero-points. BadUsage for a scheme that the method cannot
  // make.
  tensor::QuantizedMatrix (*quantize)(std::span<const float> weights, int64_t rows, int64_t cols,
                                      const numeric::WeightScheme& scheme, const MethodOptions& options,
                                      base::ThreadPool& pool);
};

// A matrix with room for everything the scheme stores and every code zero: what methods fill and dry runs
// measure. BadUsage when the scheme's blocks do not fit the columns.
tensor::QuantizedMatrix empty_matrix(int64_t rows, int64_t cols, const numeric::WeightScheme& scheme);

extern const Method rtn;

std::span<const Method* const> methods();
const Method& find_method(std::string_view name);  // BadUsage for an unknown name, listing the known ones

}  // namespace aquatint::quant
