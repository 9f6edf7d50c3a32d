// Safetensors files written in one pass: room for the header is reserved, data follows as it comes, the
// header is filled in last (trailing spaces are legal padding). The folder is a work folder: files there get
// their names at the end.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/growing_file.h"
#include "checkpoint/layouts/layout.h"

namespace aquatint::checkpoint {

class SafetensorsWriter final : public TensorSink {
 public:
  static constexpr uint64_t kShardBytes = 5'000'000'000;  // as transformers splits

  // `header_bytes`: expected size of a header; a file that outgrows it is followed by another.
  SafetensorsWriter(std::filesystem::path folder, uint64_t header_bytes, uint64_t shard_bytes = kShardBytes);
  ~SafetensorsWriter() override;

  void add(const std::string& name, std::string_view dtype, const std::vector<int64_t>& shape,
           base::Bytes bytes) override;

  // The same piece by piece: begin(), append() until the shape is full, end().
  void begin(const std::string& name, std::string_view dtype, const std::vector<int64_t>& shape);
  void append(base::Bytes bytes);
  void end();

  // The tensors since the last call, whose data are now on the disk; restore() of all that this gave, in
  // order, makes another writer over the same folder go on behind them. BadInput when that is no such list,
  // or the folder does not hold the data.
  base::Json written();
  void restore(const base::Json& written);
  // After the last restore(): forgets what lies behind.
  void cut();

  // model.safetensors, or numbered shards and model.safetensors.index.json.
  void finish();

 private:
  struct Entry {
    std::string name, dtype;
    std::vector<int64_t> shape;
    uint64_t bytes = 0, offset = 0;
    std::vector<std::byte> held;  // data of entries that go to the end of the file
  };
  struct Shard;
  void restore_entry(const base::Json& entry);
  void use_shard_names() const;
  void open_shard(uint64_t least_header);
  void close_shard();
  std::string shard_name(size_t index) const;

  std::filesystem::path folder_;
  uint64_t header_bytes_, shard_bytes_;
  std::unique_ptr<Shard> shard_;
  Entry current_;
  uint64_t received_ = 0;
  base::Json unrecorded_ = base::Json::array();
  bool restoring_ = false;
  std::vector<std::vector<std::string>> names_;  // of the tensors of each finished shard
  uint64_t total_ = 0;
};

}  // namespace aquatint::checkpoint
