// Writes a Hugging Face folder that other people's readers load unchanged. Streams: one matrix in memory at a
// time. Nothing appears under the final name before finish().
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "numeric/scheme.h"

namespace aquatint::checkpoint {

class Writer {
 public:
  // `layout` is "safetensors", "compressed-tensors" or "bitsandbytes"; `scheme` null writes a plain model.
  // Throws BadUsage when the layout cannot say the scheme exactly, or `to` exists. `group` is the group size
  // really used. `dtype` is that of the tensors left unquantized, for config.json and the layouts that record
  // it; null: the source's 16-bit type, else BF16.
  Writer(const std::filesystem::path& to, const Checkpoint& source, std::string_view layout,
         const numeric::Scheme* scheme, int group, const numeric::Format* dtype = nullptr);
  ~Writer();  // without finish(): everything written so far is removed

  // A linear layer in the layout's form (the matrix must be of the scheme's format).
  void quantized(std::string_view module, const tensor::QuantizedMatrix& matrix);
  // Any tensor in 16 or 32 bit: values are rounded to `dtype` (bf16, fp16, fp32). BadUsage when a finite
  // value overflows it.
  void plain(std::string_view name, std::span<const int64_t> shape, std::span<const float> values,
             const numeric::Format& dtype);
  // The same from a matrix, row block by row block, so that a large embedding needs no FP32 copy.
  void plain(std::string_view module, const tensor::QuantizedMatrix& matrix, const numeric::Format& dtype);

  // config.json with its quantization_config, index, side files; then the folder gets its final name.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The first layout that says the scheme exactly, in the order of docs ("compressed-tensors", "bitsandbytes",
// …).
std::string_view default_layout(const numeric::Scheme& scheme);

}  // namespace aquatint::checkpoint
