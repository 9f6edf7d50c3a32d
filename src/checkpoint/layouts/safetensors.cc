// Plain weights: F32, F16 or BF16 under the module's own name.
#include "base/error.h"
#include "checkpoint/layouts/layout.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
using tensor::QuantizedMatrix;
namespace {

constexpr std::string_view kSuffix = ".weight";

bool has_plain(const SafetensorsSet& files, std::string_view module) {
  const TensorView* tensor = files.find(std::string(module).append(kSuffix));
  return tensor && tensor->info->shape.size() == 2;
}

class PlainReader final : public LayoutReader {
 public:
  PlainReader(const SafetensorsSet& files, std::string where) : files_(files), where_(std::move(where)) {}

  Role role(const TensorView& tensor) const override {
    if (!plain_format(tensor.info->dtype) && tensor.info->name.ends_with(kSuffix))
      throw BadInput(fmt::format(
          "{} is {}, expected F32, F16 or BF16: config.json has no quantization_config that explains it; "
          "fetch the model's config.json again",
          tensor.where(), tensor.info->dtype));
    return plain_role(tensor);
  }

  bool has_weight(std::string_view module) const override { return has_plain(files_, module); }

  QuantizedMatrix weight(std::string_view module) const override {
    return read_plain(require_tensor(files_, std::string(module) + ".weight", where_));
  }

  std::string scheme() const override { return ""; }

 private:
  const SafetensorsSet& files_;
  std::string where_;
};

std::unique_ptr<LayoutReader> read(const Json&, const SafetensorsSet& files, const std::string& where,
                                   std::vector<std::string>&) {
  return std::make_unique<PlainReader>(files, where);
}

}  // namespace

const Layout plain_layout = {
    .name = "safetensors",
    .matches = [](const Json& quantization) { return quantization.is_null(); },
    .read = read,
    .can_say = [](const numeric::Scheme&) { return false; },
    .write = nullptr,
    .quantization_config = nullptr,
    .mixes_schemes = false,
    .tensors_per_weight = 1,
};

const numeric::Format* plain_format(std::string_view dtype) {
  return dtype == "F32"    ? &numeric::fp32
         : dtype == "F16"  ? &numeric::fp16
         : dtype == "BF16" ? &numeric::bf16
                           : nullptr;
}

Role plain_role(const TensorView& tensor) {
  const StoredTensor& info = *tensor.info;
  if (info.shape.size() != 2 || !info.name.ends_with(kSuffix) || !plain_format(info.dtype)) return {};
  return {Role::weight,
          {info.name.substr(0, info.name.size() - kSuffix.size()), info.shape[0], info.shape[1], info.bytes,
           false}};
}

QuantizedMatrix read_plain(const TensorView& tensor) {
  QuantizedMatrix m;
  m.format = plain_format(tensor.info->dtype);
  if (!m.format || tensor.info->shape.size() != 2)
    throw BadInput(fmt::format("{} is {} of [{}], expected a matrix of F32, F16 or BF16", tensor.where(),
                               tensor.info->dtype, fmt::join(tensor.info->shape, ", ")));
  m.rows = tensor.info->shape[0];
  m.cols = tensor.info->shape[1];
  m.codes = tensor::Storage::borrowed(tensor.bytes);
  m.stored_bytes = tensor.bytes.size();
  return m;
}

bool has_plain_or(const SafetensorsSet& files, std::string_view module, std::string_view codes) {
  return has_plain(files, module) || files.find(std::string(module).append(codes));
}

bool has_quant_method(const Json& quantization, std::string_view method) {
  return quantization.is_object() && quantization.contains("quant_method") &&
         quantization["quant_method"] == method;
}

const TensorView& require_tensor(const SafetensorsSet& files, const std::string& name,
                                 const std::string& where) {
  const TensorView* tensor = files.find(name);
  if (!tensor) throw BadInput(fmt::format("{}: tensor '{}' is missing", where, name));
  return *tensor;
}

numeric::Scheme named(numeric::Scheme scheme) {
  const numeric::Scheme* preset = numeric::preset_of(scheme);
  scheme.name = preset ? preset->name : scheme.weights.format->name;
  return scheme;
}

bool is_embedding(std::string_view module) { return module.ends_with("embed_tokens"); }

}  // namespace aquatint::checkpoint
