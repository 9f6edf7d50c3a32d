// The safetensors container (https://github.com/huggingface/safetensors, README "Format"): one file, and the
// set of shards that make a model.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "checkpoint/checkpoint.h"

namespace aquatint::checkpoint {

struct SafetensorsEntry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes, from data_begin
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of their data
  uint64_t data_begin = 0;                // offset of the data in the file
};

// Checks the whole container: header, names, dtypes, sizes against shapes, data without holes, overlaps or a
// tail. `where` names the file in errors. Throws BadInput.
SafetensorsHeader parse_safetensors(base::Bytes file, const std::string& where);

// Bits of one element by dtype name; 0 when unknown.
int safetensors_dtype_bits(std::string_view dtype);

// One tensor of a model, ready to read.
struct TensorView {
  const StoredTensor* info = nullptr;
  base::Bytes bytes;
  const std::string* file = nullptr;

  std::string where() const;  // "model.safetensors: tensor 'x'"
};

// All weight files of a folder: model.safetensors, or the shards of model.safetensors.index.json.
class SafetensorsSet {
 public:
  // Adds a line to `warnings` when the folder holds weight files beside those that are used.
  SafetensorsSet(const std::filesystem::path& folder, std::vector<std::string>& warnings);

  std::vector<StoredTensor>& tensors() { return tensors_; }
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const TensorView* find(std::string_view name) const;  // nullptr when absent
  std::vector<const TensorView*> starting_with(const std::string& prefix) const;
  std::string sha256() const;

 private:
  struct File {
    std::string name, path;
    base::MappedFile mapped;
    SafetensorsHeader header;
  };
  void open_index(const std::filesystem::path& index);
  File& open_file(const std::filesystem::path& path);
  void add(const File& file, const SafetensorsEntry& entry);
  void make_views();

  std::vector<std::unique_ptr<File>> files_;
  std::vector<StoredTensor> tensors_;
  std::vector<TensorView> views_;  // parallel to tensors_
  std::map<std::string, size_t, std::less<>> by_name_;
};

}  // namespace aquatint::checkpoint
