// The GGUF container, versions 2 and 3 (https://github.com/ggml-org/ggml, docs/gguf.md): metadata and tensor
// places. What the numbers mean is in gguf_blocks.h and gguf_model.h.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "checkpoint/checkpoint.h"

namespace aquatint::checkpoint {

// A type of tensor data: `block_bytes` hold `block` elements.
struct GgmlType {
  uint32_t id;
  std::string_view name;
  int64_t block, block_bytes;
  bool supported;  // gguf_blocks reads it
};
const GgmlType* find_ggml_type(uint32_t id);  // nullptr when unknown

// A metadata value. Integers of every width are one alternative, and so are both floats; arrays hold one
// kind.
using GgufInts = std::vector<int64_t>;
using GgufFloats = std::vector<double>;
using GgufStrings = std::vector<std::string_view>;  // into the file
using GgufValue = std::variant<int64_t, double, bool, std::string_view, GgufInts, GgufFloats, GgufStrings>;

struct GgufTensor {
  std::string name;
  const GgmlType* type = nullptr;
  std::vector<int64_t> shape;  // slowest dimension first: [rows, cols]
  base::Bytes bytes;
};

// A parsed file; views point into the bytes given to parse(). Throws BadInput, also from lookups of a wrong
// type.
class GgufFile {
 public:
  static GgufFile parse(base::Bytes file, const std::string& where);

  const std::string& where() const { return where_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* tensor(std::string_view name) const;

  bool has(std::string_view key) const { return values_.contains(key); }
  template <class T>
  bool holds(std::string_view key) const {  // the key is there and of this kind
    const auto found = values_.find(key);
    return found != values_.end() && std::holds_alternative<T>(found->second);
  }
  int64_t require_int(std::string_view key, int64_t min, int64_t max) const;
  std::optional<int64_t> find_int(std::string_view key, int64_t min, int64_t max) const;
  std::optional<double> find_number(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string> find_string(std::string_view key) const;  // BadInput when it is not UTF-8
  // The list of kind T (GgufInts, …); nullptr when absent.
  template <class T>
  const T* find_list(std::string_view key) const;

 private:
  class Parser;
  template <class T>
  const T* find_as(std::string_view key, const char* expected) const;

  std::string where_;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> by_name_;
};

// True when `text` is UTF-8.
bool is_utf8(std::string_view text);

}  // namespace aquatint::checkpoint
