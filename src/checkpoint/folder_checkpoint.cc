// A Hugging Face folder: config.json, safetensors files in some layout, and what travels with them.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/kv_cache.h"
#include "checkpoint/layouts/layout.h"
#include "checkpoint/open.h"
#include "checkpoint/safetensors.h"

namespace aquatint::checkpoint {
namespace fs = std::filesystem;
using base::BadInput;
using base::Json;
namespace {

constexpr std::array<std::string_view, 12> kSideFiles = {"tokenizer.json",
                                                         "tokenizer_config.json",
                                                         "special_tokens_map.json",
                                                         "added_tokens.json",
                                                         "tokenizer.model",
                                                         "vocab.json",
                                                         "merges.txt",
                                                         "vocab.txt",
                                                         "generation_config.json",
                                                         "chat_template.jinja",
                                                         "chat_template.json",
                                                         "preprocessor_config.json"};
constexpr std::array<std::string_view, 4> kSidePrefixes = {"LICENSE", "LICENCE", "NOTICE", "USE_POLICY"};

bool travels(const std::string& name) {
  return std::find(kSideFiles.begin(), kSideFiles.end(), name) != kSideFiles.end() ||
         std::any_of(kSidePrefixes.begin(), kSidePrefixes.end(),
                     [&](std::string_view p) { return name.starts_with(p); });
}

std::vector<SideFile> read_side_files(const fs::path& folder) {
  std::vector<SideFile> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (const std::string name = entry.path().filename().string(); entry.is_regular_file() && travels(name))
      files.push_back({name, base::read_text(entry.path())});
  std::sort(files.begin(), files.end(), [](const SideFile& a, const SideFile& b) { return a.name < b.name; });
  return files;
}

Json read_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  if (!fs::is_regular_file(path))
    throw BadInput(fmt::format(
        "{}: holds no config.json; expected a model's folder, a .gguf file, or a hub id", folder.string()));
  Json config = base::parse_json(base::read_text(path), path.string());
  if (!config.is_object())
    throw BadInput(fmt::format("{}: expected a JSON object, found {}", path.string(), config.type_name()));
  return config;
}

class FolderCheckpoint final : public Checkpoint {
 public:
  explicit FolderCheckpoint(const fs::path& path)
      : path_(path),
        config_(read_config(path)),
        layout_(layout_of(config_, (path / "config.json").string())),
        files_(path, warnings_) {
    reader_ = layout_.read(config_, files_, path.string(), warnings_);
    for (StoredTensor& tensor : files_.tensors()) {
      Role role = is_kv_scale(tensor.name) ? Role{Role::company} : reader_->role(*files_.find(tensor.name));
      if (role.kind == Role::company) tensor.parameters = 0;
      if (role.kind != Role::weight) continue;
      tensor.parameters = role.info.rows * role.info.cols;
      weights_.push_back(std::move(role.info));
    }
    side_files_ = read_side_files(path);
    for (const std::string& warning : warnings_) base::warn("{}", warning);
  }

  const fs::path& path() const override { return path_; }
  const Json& config() const override { return config_; }
  std::string layout() const override { return std::string(layout_.name); }
  std::string scheme() const override { return reader_->scheme(); }
  std::span<const StoredTensor> tensors() const override { return files_.tensors(); }
  std::span<const SideFile> side_files() const override { return side_files_; }
  std::span<const WeightInfo> weights() const override { return weights_; }
  std::span<const std::string> warnings() const override { return warnings_; }
  bool has_weight(std::string_view module) const override { return reader_->has_weight(module); }
  tensor::QuantizedMatrix weight(std::string_view module) const override {
    return tensor::with_codes(reader_->weight(module));
  }
  tensor::QuantizedMatrix deferred_weight(std::string_view module) const override {
    return reader_->weight(module);
  }
  void advise(std::string_view module, base::Access access) const override {
    for (const TensorView* tensor : files_.starting_with(std::string(module) + ".weight"))
      base::advise(tensor->bytes, access);
  }

  bool has_vector(std::string_view name) const override {
    const TensorView* tensor = files_.find(name);
    return tensor && tensor->info->shape.size() == 1;
  }

  std::vector<float> vector(std::string_view name, int64_t expected) const override {
    const TensorView& tensor = require_tensor(files_, std::string(name), path_.string());
    tensor::QuantizedMatrix row;
    row.format = plain_format(tensor.info->dtype);
    if (tensor.info->shape != std::vector<int64_t>{expected} || !row.format)
      throw BadInput(fmt::format("{} is {} of [{}], expected {} values of F32, F16 or BF16", tensor.where(),
                                 tensor.info->dtype, fmt::join(tensor.info->shape, ", "), expected));
    row.rows = 1;
    row.cols = expected;
    row.codes = tensor::Storage::borrowed(tensor.bytes);
    std::vector<float> values(static_cast<size_t>(expected));
    tensor::dequantize(row, 0, 1, values.data());
    return values;
  }

  std::string sha256() const override { return files_.sha256(); }

 private:
  fs::path path_;
  Json config_;
  const Layout& layout_;
  std::vector<std::string> warnings_;
  SafetensorsSet files_;
  std::unique_ptr<LayoutReader> reader_;
  std::vector<WeightInfo> weights_;
  std::vector<SideFile> side_files_;
};

}  // namespace

std::unique_ptr<Checkpoint> open_folder(const fs::path& path) {
  return std::make_unique<FolderCheckpoint>(path);
}

}  // namespace aquatint::checkpoint
