// What a plan chooses between: a scheme of the weights and inputs, and a form of the cache.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "numeric/kv_scheme.h"
#include "numeric/scheme.h"
#include "plan/device.h"
#include "plan/shape.h"

namespace aquatint::plan {

struct Choice {
  std::string name;                          // "W4A16+KV8"; "BF16", "FP32": nothing quantized
  const numeric::Scheme* scheme = nullptr;   // null: every weight in `plain`
  const numeric::Format* plain = nullptr;    // of what is not quantized
  const numeric::KvScheme* cache = nullptr;  // null: 16 bit

  bool quantized() const { return scheme != nullptr; }
};

// BadUsage lists what is known.
Choice find_choice(std::string_view name);
// What is compared when the user names nothing.
std::vector<Choice> default_choices();

// How a choice's matrix products run on a device.
struct Execution {
  std::string format;  // of the operands that meet: "fp8_e4m3"
  double rate = 0;     // dense operations/s of the device in that format
  bool native = true;  // false: inputs stay wider than the scheme says, because the hardware has no such unit
  bool dequantized = false;  // weights are widened to `format` on the way
  std::string note;          // what is emulated, and why; empty: nothing
};
Execution execution(const Choice& choice, const Device& device);

// Bytes as they lie in the file and in memory.
double matrix_bytes(int64_t rows, int64_t cols, const numeric::WeightScheme& scheme);  // one matrix
double weight_bytes(const Shape& shape, const Choice& choice);                         // the whole model
double bits_per_weight(const Shape& shape, const Choice& choice);  // of the quantized linears
// The group that the pipeline would take: the largest power of two up to the preset's that divides every
// quantized width; BadUsage where none does. 0 without groups.
int group_of(const Shape& shape, const Choice& choice);
numeric::WeightScheme fitted_weights(const Shape& shape, const Choice& choice);  // with that group
// Of one token; `context` bounds what windows keep of a sequence.
double cache_bytes_per_token(const Shape& shape, const Choice& choice);
double cache_bytes(const Shape& shape, const Choice& choice, double context);  // of one sequence

}  // namespace aquatint::plan
