// A layout is how a quantized weight lies in the safetensors files of a Hugging Face folder: tensor names,
// packing and the quantization_config that says so. One file each; layouts() is the only list.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "numeric/kv_scheme.h"
#include "numeric/scheme.h"

namespace aquatint::checkpoint {

// What one stored tensor is to the model.
struct Role {
  enum Kind {
    vector,
    weight,
    company
  } kind = vector;       // company: scales and whatever else belongs to a weight
  WeightInfo info = {};  // of a weight
};

// One model's weights, read by one layout's rules. Both members check everything that the result depends on;
// what role() accepted at open, weight() reads.
class LayoutReader {
 public:
  virtual ~LayoutReader() = default;
  virtual Role role(const TensorView& tensor) const = 0;
  virtual bool has_weight(std::string_view module) const = 0;
  virtual tensor::QuantizedMatrix weight(std::string_view module) const = 0;  // codes may be deferred
  virtual std::string scheme() const = 0;  // a preset's name where one says it
};

// Takes finished tensors; the bytes are used before add() returns.
class TensorSink {
 public:
  virtual ~TensorSink() = default;
  virtual void add(const std::string& name, std::string_view dtype, const std::vector<int64_t>& shape,
                   base::Bytes bytes) = 0;
};

struct WriteContext {
  const numeric::Scheme& scheme;  // of this matrix, its group size as really used
  const numeric::Format& dtype;   // of the tensors left unquantized
};

// What a finished model holds, for its quantization_config.
struct Contents {
  struct Group {
    numeric::Scheme scheme;
    std::vector<std::string> modules;
  };
  std::vector<Group> groups;             // one for each scheme, at least one
  std::vector<std::string> unquantized;  // linears left in 16 bit
  const numeric::Format& dtype;
  std::optional<numeric::KvScheme> kv = {};
};

struct Layout {
  std::string_view name;
  // Does this quantization_config (null Json when config.json has none) belong to this layout?
  bool (*matches)(const base::Json& quantization);
  std::unique_ptr<LayoutReader> (*read)(const base::Json& config, const SafetensorsSet& files,
                                        const std::string& where, std::vector<std::string>& warnings);
  // Writing. A layout that only reads says nothing.
  bool (*can_say)(const numeric::Scheme& scheme);
  void (*write)(const WriteContext& context, const std::string& module, const tensor::QuantizedMatrix& matrix,
                TensorSink& sink);
  base::Json (*quantization_config)(const Contents& contents);
  bool mixes_schemes;      // in one model
  int tensors_per_weight;  // at most
  bool says_low_rank = false;
};

extern const Layout plain_layout, compressed_tensors, bitsandbytes, gptq, awq, aquatint_layout;

std::span<const Layout* const> layouts();
const Layout* find_layout(std::string_view name);  // nullptr when unknown

// The layout that config.json asks for; BadInput that says what to do for those that cannot be read.
const Layout& layout_of(const base::Json& config, const std::string& where);

// Whether quantization_config says quant_method `method`.
bool has_quant_method(const base::Json& quantization, std::string_view method);

// Shared by the layouts: a plain weight or vector of F32, F16 or BF16.
const numeric::Format* plain_format(std::string_view dtype);  // nullptr when it is another
Role plain_role(const TensorView& tensor);
tensor::QuantizedMatrix read_plain(const TensorView& tensor);
// A plain matrix of the module, or the tensor module + `codes`.
bool has_plain_or(const SafetensorsSet& files, std::string_view module, std::string_view codes);
const TensorView& require_tensor(const SafetensorsSet& files, const std::string& name,
                                 const std::string& where);
// With the name of the preset that it follows, or of the weights' format.
numeric::Scheme named(numeric::Scheme scheme);
bool is_embedding(
    std::string_view module);  // by Hugging Face's naming; everything else of two dimensions is a linear

}  // namespace aquatint::checkpoint
