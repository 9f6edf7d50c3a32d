// A model as it lies on disk, seen by Hugging Face names whatever the layout of its bytes. A GGUF file
// answers with config.json's keys, tokenizer.json's form and module names such as
// "model.layers.0.self_attn.q_proj" (the Q/K row permutation of llama-arch files undone), so nothing above
// this room knows about layouts.
//
// Everything is mapped, checked once at open (sizes, overlaps, names, dtypes against shapes) and trusted
// afterwards. Errors: BadInput naming file, tensor or key, what was found and what was expected.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "tensor/quantized_matrix.h"

namespace aquatint::checkpoint {

// One tensor of the file, by the file's own words.
struct StoredTensor {
  std::string name;            // as in the file
  std::string dtype;           // "BF16", "I32", "Q4_1", …
  std::vector<int64_t> shape;  // slowest dimension first, also for GGUF
  uint64_t bytes = 0;
  int64_t parameters =
      0;  // of the model held here: rows × cols for packed codes, 0 for scales and other company
  int64_t elements() const;
};

// A linear's or embedding's weight, by the numbers.
struct WeightInfo {
  std::string module;
  int64_t rows = 0, cols = 0;
  uint64_t stored_bytes = 0;  // codes, scales and offsets
  bool quantized = false;     // not plain 16- or 32-bit values
  // As it is stored; its name is a preset's where one says it, else that of the format. None for plain
  // weights and for GGUF's blocks, which no scheme says.
  std::optional<numeric::Scheme> scheme = {};
};

// A file that travels with the weights, by its Hugging Face name (tokenizer.json, generation_config.json,
// chat_template.jinja, …): copied byte for byte from a folder, made from the metadata of a GGUF file.
struct SideFile {
  std::string name;
  std::string bytes;
};

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  virtual const std::filesystem::path& path() const = 0;
  virtual const base::Json& config()
      const = 0;                           // config.json, with quantization_config where the file has one
  virtual std::string layout() const = 0;  // "safetensors", "gguf", "compressed-tensors", "bitsandbytes", …
  virtual std::string scheme() const = 0;  // "W4A16", "NF4", "Q4_1", … or "" for a plain 16- or 32-bit model
  virtual std::span<const StoredTensor> tensors() const = 0;
  virtual std::span<const SideFile> side_files() const = 0;

  // Every weight of two dimensions, in the file's order.
  virtual std::span<const WeightInfo> weights() const = 0;
  // Oddities that do not keep the model from being read, one line each (also logged at open).
  virtual std::span<const std::string> warnings() const = 0;

  // The weight of a linear or embedding, `module` without ".weight"; plain when the file holds 16- or 32-bit
  // values. Codes may borrow the mapping: the checkpoint must outlive the matrix. Safe to call from several
  // threads.
  virtual bool has_weight(std::string_view module) const = 0;
  virtual tensor::QuantizedMatrix weight(std::string_view module) const = 0;
  // The same, its codes possibly left as the file packs them (QuantizedMatrix::deferred).
  virtual tensor::QuantizedMatrix deferred_weight(std::string_view module) const { return weight(module); }
  // That weight() will be asked for soon, or that its bytes will not be needed for now: advice to the system
  // on the file's pages, without effect on what is read.
  virtual void advise(std::string_view, base::Access) const {}

  // A norm weight or bias, by its full name, converted to FP32; `expected` elements or BadInput.
  virtual bool has_vector(std::string_view name) const = 0;
  virtual std::vector<float> vector(std::string_view name, int64_t expected) const = 0;

  // SHA-256 over the weight files' bytes (a safetensors model: of the files in name order, each preceded by
  // its name).
  virtual std::string sha256() const = 0;

  const SideFile* side_file(std::string_view name) const;
};

// A folder (config.json, *.safetensors), a .gguf file, or a hub id that lies in the Hugging Face cache.
std::unique_ptr<Checkpoint> open_checkpoint(const std::string& model);

// What the file consists of, for reports: bytes and parameters by dtype, and the two bit counts that are
// always shown.
struct Inventory {
  struct Row {
    std::string dtype;
    int64_t tensors = 0, parameters = 0;
    uint64_t bytes = 0;
  };
  std::vector<Row> dtypes;  // largest first
  int64_t parameters = 0;   // logical: a packed matrix counts rows × cols, scales do not count
  uint64_t bytes = 0;       // of all tensors
  double bits_per_weight =
      0;  // quantized linears (or all linears when none is): stored bits over their weights
  double bits_per_parameter = 0;  // every tensor byte over every parameter
};
Inventory inventory(const Checkpoint& checkpoint);

}  // namespace aquatint::checkpoint
