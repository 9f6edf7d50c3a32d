// A GGUF file seen as a Hugging Face model.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/open.h"

namespace aquatint::checkpoint {
namespace fs = std::filesystem;
using base::BadInput;
using base::Json;
namespace {

bool is_plain(const GgmlType& type) {
  return type.name == "F32" || type.name == "F16" || type.name == "BF16";
}

class GgufCheckpoint final : public Checkpoint {
 public:
  explicit GgufCheckpoint(const fs::path& path)
      : path_(path), mapped_(path), file_(GgufFile::parse(mapped_.bytes(), path.string())) {
    if (const auto parts = file_.find_int("split.count", 0, 1 << 16); parts.value_or(0) > 1)
      throw BadInput(fmt::format("{}: one of {} parts; merge them first (llama-gguf-split --merge)",
                                 path.string(), *parts));
    arch_ = file_.find_string("general.architecture").value_or("");
    config_ = gguf_config(file_);
    for (const GgufTensor& tensor : file_.tensors()) add(tensor);
    side_files_ = gguf_side_files(file_, config_);
    for (const std::string& warning : warnings_) base::warn("{}", warning);
  }

  const fs::path& path() const override { return path_; }
  const Json& config() const override { return config_; }
  std::string layout() const override { return "gguf"; }
  std::string scheme() const override { return scheme_of_most(); }
  std::span<const StoredTensor> tensors() const override { return tensors_; }
  std::span<const SideFile> side_files() const override { return side_files_; }
  std::span<const WeightInfo> weights() const override { return weights_; }
  std::span<const std::string> warnings() const override { return warnings_; }

  bool has_weight(std::string_view module) const override {
    const GgufTensor* tensor = find(std::string(module) + ".weight");
    return tensor && tensor->shape.size() == 2;
  }

  tensor::QuantizedMatrix weight(std::string_view module) const override {
    return tensor::with_codes(deferred_weight(module));
  }

  void advise(std::string_view module, base::Access access) const override {
    if (const GgufTensor* tensor = find(std::string(module) + ".weight")) base::advise(tensor->bytes, access);
  }

  tensor::QuantizedMatrix deferred_weight(std::string_view module) const override {
    const std::string name = std::string(module) + ".weight";
    const GgufTensor& tensor = require(name);
    if (tensor.shape.size() != 2)
      throw BadInput(fmt::format("{}: tensor '{}' has {} dimensions, expected 2", path_.string(), tensor.name,
                                 tensor.shape.size()));
    auto matrix = decode_ggml(*tensor.type, tensor.bytes, tensor.shape[0], tensor.shape[1]);
    const std::vector<int64_t> order = row_order(config_, arch_, name, tensor.shape[0]);
    return order.empty() ? matrix : permute_rows(matrix, order);
  }

  bool has_vector(std::string_view name) const override {
    const GgufTensor* tensor = find(name);
    return tensor && tensor->shape.size() == 1;
  }

  std::vector<float> vector(std::string_view name, int64_t expected) const override {
    const GgufTensor& tensor = require(name);
    if (tensor.shape.size() != 1 || tensor.shape[0] != expected || !is_plain(*tensor.type))
      throw BadInput(fmt::format("{}: tensor '{}' is {} of [{}], expected {} values of F32, F16 or BF16",
                                 path_.string(), tensor.name, tensor.type->name,
                                 fmt::join(tensor.shape, ", "), expected));
    const auto matrix = decode_ggml(*tensor.type, tensor.bytes, 1, expected);
    std::vector<float> stored(static_cast<size_t>(expected));
    tensor::dequantize(matrix, 0, 1, stored.data());
    const std::vector<int64_t> order = row_order(config_, arch_, name, expected);
    if (order.empty()) return stored;
    std::vector<float> values(stored.size());
    for (size_t i = 0; i < values.size(); ++i) values[i] = stored[static_cast<size_t>(order[i])];
    return values;
  }

  std::string sha256() const override { return base::sha256_hex(mapped_.bytes()); }

 private:
  void add(const GgufTensor& tensor) {
    if (!tensor.type->supported)
      throw BadInput(
          fmt::format("{}: tensor '{}' is of type {}, which is not supported; use a file of F32, F16, BF16, "
                      "Q4_0 … Q8_0 or Q2_K … Q6_K",
                      path_.string(), tensor.name, tensor.type->name));
    const auto name = hugging_face_name(tensor.name);
    if (!name)
      throw BadInput(fmt::format("{}: tensor '{}' is not one that architecture {} has", path_.string(),
                                 tensor.name, arch_));
    StoredTensor stored{tensor.name, std::string(tensor.type->name), tensor.shape, tensor.bytes.size(), 0};
    if (!name->empty()) {
      stored.parameters = stored.elements();
      by_name_[*name] = &tensor;
      if (tensor.shape.size() == 2)
        weights_.push_back({name->substr(0, name->rfind('.')), tensor.shape[0], tensor.shape[1],
                            tensor.bytes.size(), !is_plain(*tensor.type)});
    }
    tensors_.push_back(std::move(stored));
  }

  const GgufTensor* find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }

  const GgufTensor& require(std::string_view name) const {
    const GgufTensor* tensor = find(name);
    if (!tensor) throw BadInput(fmt::format("{}: has no tensor for '{}'", path_.string(), name));
    return *tensor;
  }

  // The block type of most quantized parameters, embeddings aside; "" when there is none.
  std::string scheme_of_most() const {
    std::map<std::string_view, int64_t> counts;
    for (const WeightInfo& weight : weights_)
      if (weight.quantized && weight.module != "model.embed_tokens" && weight.module != "lm_head")
        counts[find(weight.module + ".weight")->type->name] += weight.rows * weight.cols;
    const auto most = std::max_element(counts.begin(), counts.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == counts.end() ? "" : std::string(most->first);
  }

  fs::path path_;
  base::MappedFile mapped_;
  GgufFile file_;
  std::string arch_;
  Json config_;
  std::vector<StoredTensor> tensors_;
  std::vector<WeightInfo> weights_;
  std::vector<SideFile> side_files_;
  std::vector<std::string> warnings_;
  std::map<std::string, const GgufTensor*, std::less<>> by_name_;  // by Hugging Face's full name
};

}  // namespace

std::unique_ptr<Checkpoint> open_gguf(const fs::path& path) { return std::make_unique<GgufCheckpoint>(path); }

}  // namespace aquatint::checkpoint
