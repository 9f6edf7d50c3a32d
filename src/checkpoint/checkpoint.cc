#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/open.h"

namespace aquatint::checkpoint {
namespace fs = std::filesystem;
using base::BadInput;
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Where Hugging Face's own tools keep what they fetched.
fs::path hub_cache() {
  if (const std::string cache = environment("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const std::string home = environment("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  return fs::path(environment("HOME")) / ".cache/huggingface/hub";
}

// "org/name" in the alphabet of the hub, and no path.
bool is_hub_id(const std::string& model) {
  const size_t slash = model.find('/');
  const bool legal = std::all_of(model.begin(), model.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-' || c == '/';
  });
  return legal && slash != std::string::npos && slash > 0 && slash + 1 < model.size() &&
         model.find('/', slash + 1) == std::string::npos && model[0] != '.' && model[slash + 1] != '.';
}

// The snapshot that refs/main names, or the only one.
fs::path find_snapshot(const std::string& id) {
  std::string folder = "models--" + id;
  folder.replace(folder.find('/'), 1, "--");
  const fs::path home = hub_cache() / folder;
  if (const fs::path ref = home / "refs/main"; fs::is_regular_file(ref)) {
    std::string revision = base::read_text(ref, 4096);
    revision.erase(
        std::find_if(revision.begin(), revision.end(), [](unsigned char c) { return std::isspace(c); }),
        revision.end());
    const fs::path snapshot = home / "snapshots" / fs::path(revision).filename();
    if (!revision.empty() && fs::is_directory(snapshot)) return snapshot;
  }
  std::vector<fs::path> snapshots;
  if (fs::is_directory(home / "snapshots"))
    for (const auto& entry : fs::directory_iterator(home / "snapshots")) snapshots.push_back(entry.path());
  if (snapshots.size() == 1) return snapshots.front();
  throw BadInput(
      fmt::format("{}: neither a file, a folder, nor a model in {}; fetch it first: aquatint pull {}", id,
                  hub_cache().string(), id));
}

bool begins_with_gguf(const fs::path& path) {
  const base::MappedFile file(path);
  return file.bytes().size() >= 4 && std::memcmp(file.bytes().data(), "GGUF", 4) == 0;
}

bool is_linear(const WeightInfo& weight) { return !weight.module.ends_with("embed_tokens"); }

// Stored bits of the quantized linears over their weights; of all linears when none is quantized.
double bits_of_linears(std::span<const WeightInfo> weights) {
  const bool any_quantized = std::any_of(weights.begin(), weights.end(),
                                         [](const WeightInfo& w) { return w.quantized && is_linear(w); });
  double bits = 0, count = 0;
  for (const WeightInfo& weight : weights) {
    if (!is_linear(weight) || weight.quantized != any_quantized) continue;
    bits += 8.0 * static_cast<double>(weight.stored_bytes);
    count += static_cast<double>(weight.rows) * static_cast<double>(weight.cols);
  }
  return count > 0 ? bits / count : 0;
}

}  // namespace

int64_t StoredTensor::elements() const {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

const SideFile* Checkpoint::side_file(std::string_view name) const {
  for (const SideFile& file : side_files())
    if (file.name == name) return &file;
  return nullptr;
}

std::unique_ptr<Checkpoint> open_checkpoint(const std::string& model) {
  const fs::path path = model;
  std::error_code unreachable;  // as good as absent
  if (fs::is_directory(path, unreachable)) return open_folder(path);
  if (fs::is_regular_file(path, unreachable)) {
    if (begins_with_gguf(path) || path.extension() == ".gguf") return open_gguf(path);
    throw BadInput(fmt::format(
        "{}: a file, but no GGUF file; for safetensors give the folder that holds it and config.json",
        model));
  }
  if (is_hub_id(model)) return open_folder(find_snapshot(model));
  throw BadInput(fmt::format("{}: no such file or folder, and no hub id (org/name)", model));
}

Inventory inventory(const Checkpoint& checkpoint) {
  Inventory result;
  std::map<std::string, Inventory::Row> rows;
  for (const StoredTensor& tensor : checkpoint.tensors()) {
    Inventory::Row& row = rows[tensor.dtype];
    row.dtype = tensor.dtype;
    row.tensors += 1;
    row.parameters += tensor.parameters;
    row.bytes += tensor.bytes;
    result.parameters += tensor.parameters;
    result.bytes += tensor.bytes;
  }
  for (auto& [dtype, row] : rows) result.dtypes.push_back(std::move(row));
  std::stable_sort(result.dtypes.begin(), result.dtypes.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  result.bits_per_weight = bits_of_linears(checkpoint.weights());
  if (result.parameters > 0)
    result.bits_per_parameter =
        8.0 * static_cast<double>(result.bytes) / static_cast<double>(result.parameters);
  return result;
}

}  // namespace aquatint::checkpoint
