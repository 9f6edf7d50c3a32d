// A method finds the codes and scales of one weight matrix under a weight scheme, changes weights before
// that is done, or makes up for what was lost after it. Methods are values in one table
// (methods/registry.cc); the command line's help, recipes, the pipeline and the tests iterate it.
#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "base/json.h"
#include "base/thread_pool.h"
#include "model/config.h"
#include "model/decoder.h"
#include "numeric/scheme.h"
#include "tensor/quantized_matrix.h"

namespace aquatint::model {
struct Backend;
}

namespace aquatint::quant {

class InputStatistics;

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
  std::span<const float> importance = {};
  // The magnitude that a scale of the whole matrix is taken from, where it is shared by matrices that servers
  // fuse (q, k, v; gate, up); 0: the matrix's own.
  float largest = 0;
  // What calibration saw at this matrix's input; null without calibration.
  const InputStatistics* inputs = nullptr;
  base::Json settings = base::Json::object();  // all of the method's, inside their ranges
};

// One value that a recipe may set.
struct MethodSetting {
  enum class Type { boolean, integer, number, word };

  std::string_view name;
  Type type;
  double otherwise, min, max;  // of a word: positions in `words`
  std::string_view note;
  std::span<const std::string_view> words = {};
};

class BlockWeights;
class BlockStatistics;
struct BlockTask;
class Drift;
struct WeightRotations;

// One of quantize, learn, transform, rotate, correct and compensate is set; a recipe runs them in the order
// rotate, transform, correct, quantize or learn, compensate.
struct Method {
  std::string_view name;
  std::string_view note;
  // Finds codes. `weights` is row-major [rows][cols], finite; `scheme.group` is the group size really used
  // and divides cols where the granularity is `group`. The result is the same for any number of threads. Its
  // stored_bytes counts codes at their packed width, scales and zero-points. BadUsage for a scheme that the
  // method cannot make.
  tensor::QuantizedMatrix (*quantize)(std::span<const float> weights, int64_t rows, int64_t cols,
                                      const numeric::WeightScheme& scheme, const MethodOptions& options,
                                      base::ThreadPool& pool) = nullptr;
  // Changes a block's weights so that they, or the inputs that they meet, lose less when they are rounded;
  // the function of the block stays. Inputs change with them: the statistics are kept true.
  void (*transform)(BlockWeights& block, BlockStatistics& inputs, const base::Json& settings,
                    base::ThreadPool& pool) = nullptr;
  std::span<const MethodSetting> settings = {};
  bool needs_calibration = false;
  // Where there is calibration it keeps H, the inputs' Gram matrix, for the method.
  bool needs_gram = false;
  // What the whole model is rotated by before anything else; the function of the model stays.
  WeightRotations (*rotate)(const model::Config& config, const base::Json& settings) = nullptr;
  // Finds the codes where the recipe names nothing that does.
  std::string_view finder = "rtn";
  // Changes the weights of a stage, when calibration has reached it behind what is already quantized, towards
  // the outputs that the exact model has there. Stages come in their order, after the transforms.
  void (*correct)(BlockWeights& block, model::Stage stage, const Drift& drift,
                  const base::Json& settings) = nullptr;
  // Says to the scheme of its matrices what the method adds to it: what compensate() stores beside the codes,
  // what is done at run time. BadUsage for a scheme that does not go with it. Null where it adds nothing.
  void (*extend)(const base::Json& settings, numeric::Scheme& scheme) = nullptr;
  // Makes up for part of what rounding `weights` to `matrix` lost, in the room that empty_matrix() made for
  // it. `inputs` is null without calibration.
  void (*compensate)(std::span<const float> weights, const base::Json& settings,
                     const InputStatistics* inputs, const model::Backend& backend,
                     tensor::QuantizedMatrix& matrix) = nullptr;
  // Finds the codes of all linears of a block that have a scheme, in the order of its stages, where
  // `quantize` is null.
  std::vector<tensor::QuantizedMatrix> (*learn)(const BlockTask& task, const base::Json& settings) = nullptr;

  bool finds_codes() const { return quantize || learn; }
};

// One method of a recipe with all its settings.
struct MethodStep {
  const Method* method = nullptr;
  base::Json settings = base::Json::object();
};

// With default settings. BadUsage for an unknown name, with the nearest known one.
MethodStep make_step(std::string_view name);

// A matrix with room for everything the scheme stores and every code zero: what methods fill and dry runs
// measure. BadUsage when the scheme's blocks do not fit the columns, or its rank the matrix.
tensor::QuantizedMatrix empty_matrix(int64_t rows, int64_t cols, const numeric::WeightScheme& scheme);

// One factor of a low-rank part, every code zero, and how integers in one are scaled.
tensor::QuantizedMatrix empty_factor(int64_t rows, int64_t cols, const numeric::Format& format);
numeric::WeightScheme factor_scheme(const numeric::Format& format);

// Into the room that empty_matrix() made, in the order of its blocks; scales times the divisor (1 where the
// scheme has none) are values of their format.
void store_scales(std::span<const float> scales, float divisor, tensor::QuantizedMatrix& matrix);
// Zero-points, or the minima −zero · scale; nothing for a symmetric scheme.
void store_zeros(std::span<const float> scales, std::span<const float> zeros,
                 tensor::QuantizedMatrix& matrix);
// What was stored: value = scale · (code − zero).
float zero_of(const tensor::QuantizedMatrix& matrix, int64_t block);

extern const Method rtn, hqq, gptq, signround, autoround, zeroquant, w4a8_fp, awq, smoothquant, qep, quarot,
    quip, lorc, llm_int8;

base::Json default_settings(const Method& method);

std::span<const Method* const> methods();

}  // namespace aquatint::quant
