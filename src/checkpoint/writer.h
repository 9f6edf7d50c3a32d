// Writes a Hugging Face folder that other people's readers load unchanged. Streams: one matrix in memory at a
// time. Nothing appears under the final name before finish().
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/work_folder.h"
#include "checkpoint/checkpoint.h"
#include "numeric/kv_scheme.h"
#include "numeric/scheme.h"

namespace aquatint::checkpoint {

// Of config.json: where a quantized model comes from. Other readers ignore keys that they do not know.
inline constexpr const char* kProvenanceKey = "aquatint";

// Rows [begin, end) of a matrix, row-major.
using RowSource = std::function<void(int64_t begin, int64_t end, float* out)>;

class Writer {
 public:
  // BadUsage when the layout is not known, or `to` exists. `dtype` is that of the tensors left unquantized,
  // for config.json and the layouts that record it; null: the source's 16-bit type, else BF16.
  Writer(const std::filesystem::path& to, const Checkpoint& source, std::string_view layout,
         const numeric::Format* dtype = nullptr);
  // The same into a work folder, which outlives this object.
  Writer(base::WorkFolder& folder, const Checkpoint& source, std::string_view layout,
         const numeric::Format* dtype = nullptr);
  ~Writer();  // without finish(): everything written so far is removed, or stays in the caller's work folder

  // A linear layer in the layout's form. The matrix must follow the scheme, whose group is the size really
  // used. BadUsage when the layout cannot say the scheme, or not beside those that came before;
  // check_layout() finds this out early.
  void quantized(std::string_view module, const tensor::QuantizedMatrix& matrix,
                 const numeric::Scheme& scheme);
  // Any tensor in 16 or 32 bit: values are rounded to `dtype` (bf16, fp16, fp32). BadUsage when a finite
  // value overflows it.
  void plain(std::string_view name, std::span<const int64_t> shape, std::span<const float> values,
             const numeric::Format& dtype);
  // The same from a matrix, row block by row block, so that a large embedding needs no FP32 copy.
  void plain(std::string_view module, const tensor::QuantizedMatrix& matrix, const numeric::Format& dtype);
  void plain(std::string_view module, int64_t rows, int64_t cols, const RowSource& source,
             const numeric::Format& dtype);

  // What config.json holds under kProvenanceKey; without a call nothing, whatever the source has there.
  void record(base::Json provenance);

  // Keys of config.json that are not the source's.
  void amend(base::Json changes);

  // How the model asks its cache of keys and values to be held; its calibrated scales are vectors
  // (kv_cache.h).
  void kv_cache(const numeric::KvScheme& scheme);

  // What was written since the last call, now on the disk: with all that this gave, in order, another Writer
  // over the same folder goes on behind it. `scheme_of` a module that was quantized. BadInput when it is
  // damaged, or the folder does not hold it.
  base::Json written();
  void restore(std::span<const base::Json> written,
               const std::function<const numeric::Scheme*(const std::string& module)>& scheme_of);

  // config.json with its quantization_config, index, side files; then the folder gets its final name.
  void finish();

 private:
  struct State;
  std::unique_ptr<base::WorkFolder> own_;  // where the caller has none
  std::unique_ptr<State> state_;
};

// The first layout that says all schemes of one model exactly, in the order of docs ("compressed-tensors",
// "bitsandbytes", …); BadUsage when there is none.
std::string_view default_layout(std::span<const numeric::Scheme> schemes);
// BadUsage unless the layout is known and says them exactly.
void check_layout(std::string_view layout, std::span<const numeric::Scheme> schemes);

// Bytes of all tensors that the layout makes of a matrix; they depend on its shape and scheme alone, so a
// matrix of zeros (quant::empty_matrix) tells them before anything is quantized.
uint64_t written_bytes(std::string_view layout, const tensor::QuantizedMatrix& matrix,
                       const numeric::Scheme& scheme, const numeric::Format& dtype);

}  // namespace aquatint::checkpoint
