// Tiny files made in memory for the tests of this room.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"

namespace aquatint::checkpoint::test {

namespace fs = std::filesystem;

inline base::Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::string unhex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

inline base::Json golden(const std::string& name) {
  const std::string path = std::string(AQUATINT_GOLDEN) + "/checkpoint/" + name + ".json";
  return base::parse_json(base::read_text(path), path);
}

// A folder of its own for each test, removed with it.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "aquatint-checkpoint-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { fs::remove_all(path_); }

  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }
  fs::path write(const std::string& name, std::string_view content) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  fs::path path_;
};

struct Tensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string data;
};

// A safetensors file around any header text.
inline std::string safetensors_around(const std::string& header, const std::string& data) {
  return raw<uint64_t>(header.size()) + header + data;
}

inline std::string safetensors(const std::vector<Tensor>& tensors) {
  base::Json header = base::Json::object();
  std::string data;
  for (const Tensor& t : tensors) {
    header[t.name] = {
        {"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {data.size(), data.size() + t.data.size()}}};
    data += t.data;
  }
  return safetensors_around(header.dump(), data);
}

// A model of one file, as it is opened from `folder`.
inline std::unique_ptr<Checkpoint> open_model(const TempFolder& folder, const base::Json& config,
                                              const std::vector<Tensor>& tensors) {
  folder.write("config.json", config.dump());
  folder.write("model.safetensors", safetensors(tensors));
  return open_checkpoint(folder.path().string());
}

// A GGUF file, value by value, so that every field can be made wrong.
class Gguf {
 public:
  static std::string text(std::string_view s) { return raw<uint64_t>(s.size()) + std::string(s); }
  Gguf& key(std::string_view name, uint32_t type, const std::string& value) {
    keys_ += text(name) + raw(type) + value;
    ++key_count_;
    return *this;
  }
  Gguf& u32(std::string_view name, uint32_t value) { return key(name, 4, raw(value)); }
  Gguf& f32(std::string_view name, float value) { return key(name, 6, raw(value)); }
  Gguf& flag(std::string_view name, bool value) { return key(name, 7, raw<uint8_t>(value)); }
  Gguf& string(std::string_view name, std::string_view value) { return key(name, 8, text(value)); }
  Gguf& list(std::string_view name, uint32_t type, uint64_t count, const std::string& values) {
    return key(name, 9, raw(type) + raw(count) + values);
  }
  Gguf& strings(std::string_view name, const std::vector<std::string>& values) {
    std::string all;
    for (const std::string& value : values) all += text(value);
    return list(name, 8, values.size(), all);
  }
  // `extents` fastest first, as the file has them.
  Gguf& tensor(std::string_view name, const std::vector<uint64_t>& extents, uint32_t type,
               const std::string& data) {
    return tensor_at(name, extents, type, data_.size(), data);
  }
  Gguf& tensor_at(std::string_view name, const std::vector<uint64_t>& extents, uint32_t type, uint64_t offset,
                  const std::string& data) {
    infos_ += text(name) + raw<uint32_t>(extents.size()) + raw(extents) + raw(type) + raw(offset);
    data_ += data;
    data_.resize((data_.size() + 31) / 32 * 32);
    ++tensor_count_;
    return *this;
  }
  std::string bytes(uint32_t version = 3) const {
    std::string out =
        "GGUF" + raw(version) + raw<uint64_t>(tensor_count_) + raw<uint64_t>(key_count_) + keys_ + infos_;
    out.resize((out.size() + 31) / 32 * 32);
    return out + data_;
  }

 private:
  std::string keys_, infos_, data_;
  uint64_t key_count_ = 0, tensor_count_ = 0;
};

// Metadata of a one-layer llama: hidden 32, two heads of 16, one for keys and values.
inline Gguf tiny_llama_keys() {
  Gguf file;
  file.string("general.architecture", "llama").u32("llama.block_count", 1).u32("llama.context_length", 64);
  file.u32("llama.embedding_length", 32)
      .u32("llama.feed_forward_length", 64)
      .u32("llama.attention.head_count", 2);
  file.u32("llama.attention.head_count_kv", 1)
      .f32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .f32("llama.rope.freq_base", 10000.0f);
  return file;
}

inline std::string counted_floats(size_t n) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i);
  return raw(values);
}

// The message of the BadInput that `body` throws; "" when it throws nothing, and any other exception escapes.
template <class Body>
std::string refusal(Body&& body) {
  try {
    body();
  } catch (const base::BadInput& e) {
    return e.what();
  }
  return "";
}

}  // namespace aquatint::checkpoint::test
