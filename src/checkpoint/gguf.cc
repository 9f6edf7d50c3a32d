#include "checkpoint/gguf.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace aquatint::checkpoint {
using base::BadInput;
namespace {

constexpr uint64_t kMaxEntries = 1 << 20;  // of keys, of tensors
constexpr uint64_t kMaxText = 1 << 30;     // bytes of a string, the reference's limit
constexpr uint64_t kMaxList = 1 << 24;     // elements of a list; vocabularies have some hundred thousand
constexpr uint64_t kMaxName = 63;          // of a tensor
constexpr uint32_t kMaxDimensions = 4;

constexpr std::array kTypes = {
    GgmlType{0, "F32", 1, 4, true},          GgmlType{1, "F16", 1, 2, true},
    GgmlType{2, "Q4_0", 32, 18, true},       GgmlType{3, "Q4_1", 32, 20, true},
    GgmlType{6, "Q5_0", 32, 22, true},       GgmlType{7, "Q5_1", 32, 24, true},
    GgmlType{8, "Q8_0", 32, 34, true},       GgmlType{10, "Q2_K", 256, 84, true},
    GgmlType{11, "Q3_K", 256, 110, true},    GgmlType{12, "Q4_K", 256, 144, true},
    GgmlType{13, "Q5_K", 256, 176, true},    GgmlType{14, "Q6_K", 256, 210, true},
    GgmlType{16, "IQ2_XXS", 256, 66, false}, GgmlType{17, "IQ2_XS", 256, 74, false},
    GgmlType{18, "IQ3_XXS", 256, 98, false}, GgmlType{19, "IQ1_S", 256, 50, false},
    GgmlType{20, "IQ4_NL", 32, 18, false},   GgmlType{21, "IQ3_S", 256, 110, false},
    GgmlType{22, "IQ2_S", 256, 82, false},   GgmlType{23, "IQ4_XS", 256, 136, false},
    GgmlType{24, "I8", 1, 1, false},         GgmlType{25, "I16", 1, 2, false},
    GgmlType{26, "I32", 1, 4, false},        GgmlType{27, "I64", 1, 8, false},
    GgmlType{28, "F64", 1, 8, false},        GgmlType{29, "IQ1_M", 256, 56, false},
    GgmlType{30, "BF16", 1, 2, true},        GgmlType{34, "TQ1_0", 256, 54, false},
    GgmlType{35, "TQ2_0", 256, 66, false},   GgmlType{39, "MXFP4", 32, 17, false},
    GgmlType{40, "NVFP4", 64, 36, false},    GgmlType{41, "Q1_0", 128, 18, false},
    GgmlType{42, "Q2_0", 64, 18, false},
};

enum ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
constexpr std::array<uint64_t, 13> kValueBytes = {1, 1, 2,  2, 4, 4, 4,
                                                  1, 8, 12, 8, 8, 8};  // at least, for string and array

bool is_float(uint32_t type) { return type == f32 || type == f64; }

}  // namespace

const GgmlType* find_ggml_type(uint32_t id) {
  const auto* found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const GgmlType& t) { return t.id == id; });
  return found == kTypes.end() ? nullptr : found;
}

bool is_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xc2 && lead < 0xe0 ? 2
                          : lead >= 0xe0 && lead < 0xf0 ? 3
                          : lead >= 0xf0 && lead < 0xf5 ? 4
                                                        : 0;
    if (length == 0 || length > text.size() - i) return false;
    for (size_t k = 1; k < length; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    const auto second = length > 1 ? static_cast<unsigned char>(text[i + 1]) : 0;
    // Overlong forms, surrogates, and code points past U+10FFFF.
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f))
      return false;
    i += length;
  }
  return true;
}

// Walks the file once, front to back; every read is checked against what is left.
class GgufFile::Parser {
 public:
  Parser(base::Bytes file, GgufFile& out) : file_(file), out_(out) {}

  void parse() {
    const uint64_t tensors = parse_head();
    for (uint64_t i = 0; i < keys_; ++i) parse_key();
    std::vector<Place> places;
    for (uint64_t i = 0; i < tensors; ++i) places.push_back(parse_tensor());
    place_data(places);
  }

 private:
  struct Place {
    uint64_t offset, bytes;
  };

  [[noreturn]] void fail(const std::string& message) const {
    throw BadInput(fmt::format("{}: {} (at byte {})", out_.where_, message, position_));
  }

  base::Bytes take(uint64_t bytes, std::string_view what) {
    if (bytes > file_.size() - position_)
      fail(fmt::format("{} needs {} bytes, {} are left; the file is truncated: fetch it again", what, bytes,
                       file_.size() - position_));
    const base::Bytes taken = file_.subspan(position_, bytes);
    position_ += bytes;
    return taken;
  }

  template <class T>
  T number(std::string_view what) {
    return base::load<T>(take(sizeof(T), what).data());
  }

  std::string_view text(std::string_view what) {
    const auto length = number<uint64_t>(what);
    if (length > kMaxText)
      fail(fmt::format("{} is a string of {} bytes, expected at most {}", what, length, kMaxText));
    const base::Bytes bytes = take(length, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  uint64_t parse_head() {
    const base::Bytes magic = take(4, "the magic");
    if (std::memcmp(magic.data(), "GGUF", 4) != 0) fail("does not begin with \"GGUF\"; this is no GGUF file");
    const auto version = number<uint32_t>("the version");
    if ((version & 0xffffu) == 0) fail("is a big-endian file; only little-endian ones are read");
    if (version != 2 && version != 3)
      fail(fmt::format("is of version {}, expected 2 or 3; convert it again with llama.cpp", version));
    const auto tensors = number<uint64_t>("the number of tensors");
    keys_ = number<uint64_t>("the number of keys");
    if (tensors > kMaxEntries || keys_ > kMaxEntries)
      fail(fmt::format("claims {} tensors and {} keys, expected at most {} each", tensors, keys_,
                       kMaxEntries));
    return tensors;
  }

  int64_t integer(uint32_t type, std::string_view what) {
    switch (type) {
      case u8:
        return number<uint8_t>(what);
      case i8:
        return number<int8_t>(what);
      case u16:
        return number<uint16_t>(what);
      case i16:
        return number<int16_t>(what);
      case u32:
        return number<uint32_t>(what);
      case i32:
        return number<int32_t>(what);
      case boolean:
        return number<uint8_t>(what) != 0;
      case i64:
        return number<int64_t>(what);
      default:
        break;
    }
    const auto value = number<uint64_t>(what);
    if (value > static_cast<uint64_t>(INT64_MAX))
      fail(fmt::format("{} is {}, expected at most {}", what, value, INT64_MAX));
    return static_cast<int64_t>(value);
  }

  double floating(uint32_t type, std::string_view what) {
    return type == f32 ? static_cast<double>(number<float>(what)) : number<double>(what);
  }

  void parse_key() {
    const std::string key(text("a key's name"));
    if (key.empty() || !is_utf8(key)) fail("a key's name is empty or not UTF-8");
    const std::string what = fmt::format("key \"{}\"", key);
    const auto type = number<uint32_t>(what);
    if (type >= kValueBytes.size()) fail(fmt::format("{} is of unknown type {}", what, type));
    GgufValue value = type == array     ? parse_array(what)
                      : type == string  ? GgufValue(text(what))
                      : type == boolean ? GgufValue(integer(type, what) != 0)
                      : is_float(type)  ? GgufValue(floating(type, what))
                                        : GgufValue(integer(type, what));
    if (!out_.values_.emplace(key, std::move(value)).second) fail(what + " appears twice");
  }

  GgufValue parse_array(const std::string& what) {
    const auto type = number<uint32_t>(what);
    const auto count = number<uint64_t>(what);
    if (type >= kValueBytes.size() || type == array)
      fail(fmt::format("{} is a list of type {}, expected 0 to 8 or 10 to 12", what, type));
    if (count > kMaxList || count * kValueBytes[type] > file_.size() - position_)
      fail(fmt::format("{} is a list of {} elements, more than the file holds", what, count));
    if (type == string) return fill<GgufStrings>(count, [&] { return text(what); });
    if (is_float(type)) return fill<GgufFloats>(count, [&] { return floating(type, what); });
    return fill<GgufInts>(count, [&] { return integer(type, what); });
  }

  template <class List, class Read>
  static List fill(uint64_t count, Read&& read) {
    List list;
    list.reserve(count);
    for (uint64_t i = 0; i < count; ++i) list.push_back(read());
    return list;
  }

  Place parse_tensor() {
    GgufTensor tensor;
    tensor.name = text("a tensor's name");
    const std::string what = fmt::format("tensor '{}'", tensor.name);
    if (tensor.name.empty() || tensor.name.size() > kMaxName || !is_utf8(tensor.name))
      fail(fmt::format("a tensor's name has {} bytes, expected 1 to {} of UTF-8", tensor.name.size(),
                       kMaxName));
    const auto dimensions = number<uint32_t>(what);
    if (dimensions == 0 || dimensions > kMaxDimensions)
      fail(fmt::format("{} has {} dimensions, expected 1 to {}", what, dimensions, kMaxDimensions));
    std::optional<uint64_t> elements = 1;
    for (uint32_t d = 0; d < dimensions; ++d) {
      const auto extent = number<uint64_t>(what);
      if (elements) elements = base::checked_mul(*elements, extent);
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(extent));
      if (extent == 0 || !elements || *elements > static_cast<uint64_t>(INT64_MAX))
        fail(fmt::format("{} has an extent of {}: nothing, or more than 63 bits can count", what, extent));
    }
    const auto type = number<uint32_t>(what);
    tensor.type = find_ggml_type(type);
    if (!tensor.type) fail(fmt::format("{} is of unknown type {}", what, type));
    const int64_t width = tensor.shape.back();
    if (width % tensor.type->block != 0)
      fail(fmt::format("{} has rows of {}, not a multiple of the {} that a block of {} holds", what, width,
                       tensor.type->block, tensor.type->name));
    const auto offset = number<uint64_t>(what);
    const auto bytes = base::checked_mul(*elements / static_cast<uint64_t>(tensor.type->block),
                                         static_cast<uint64_t>(tensor.type->block_bytes));
    if (!bytes) fail(fmt::format("{} is larger than 64 bits can count", what));
    if (!out_.by_name_.emplace(tensor.name, out_.tensors_.size()).second) fail(what + " appears twice");
    out_.tensors_.push_back(std::move(tensor));
    return {offset, *bytes};
  }

  uint64_t alignment() const {
    const int64_t value = out_.find_int("general.alignment", 0, INT64_MAX).value_or(32);
    if (value < 1 || value > (1 << 20) || !std::has_single_bit(static_cast<uint64_t>(value)))
      fail(fmt::format("general.alignment is {}, expected a power of two", value));
    return static_cast<uint64_t>(value);
  }

  // Data lies in the order of the tensor list, each padded to the alignment, and nothing follows.
  void place_data(const std::vector<Place>& places) {
    const uint64_t align = alignment();
    const uint64_t begin = (position_ + align - 1) / align * align;
    if (places.empty()) return;
    if (begin > file_.size()) fail("holds no tensor data; the file is truncated: fetch it again");
    const uint64_t available = file_.size() - begin;
    uint64_t expected = 0;
    for (size_t i = 0; i < places.size(); ++i) {
      GgufTensor& tensor = out_.tensors_[i];
      if (places[i].offset != expected)
        fail(fmt::format("tensor '{}' lies at offset {}, expected {} (data may not overlap or leave holes)",
                         tensor.name, places[i].offset, expected));
      if (expected > available || places[i].bytes > available - expected)
        fail(fmt::format(
            "tensor '{}' needs {} bytes at offset {}, the data has {}; the file is truncated: fetch it again",
            tensor.name, places[i].bytes, expected, available));
      tensor.bytes = file_.subspan(begin + expected, places[i].bytes);
      expected += (places[i].bytes + align - 1) / align * align;
    }
    if (available > expected) fail(fmt::format("has {} bytes after the last tensor", available - expected));
  }

  base::Bytes file_;
  GgufFile& out_;
  uint64_t position_ = 0, keys_ = 0;
};

GgufFile GgufFile::parse(base::Bytes file, const std::string& where) {
  GgufFile out;
  out.where_ = where;
  Parser(file, out).parse();
  return out;
}

const GgufTensor* GgufFile::tensor(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

template <class T>
const T* GgufFile::find_as(std::string_view key, const char* expected) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (!value) throw BadInput(fmt::format("{}: key \"{}\" is not {}", where_, key, expected));
  return value;
}

std::optional<int64_t> GgufFile::find_int(std::string_view key, int64_t min, int64_t max) const {
  const auto* value = find_as<int64_t>(key, "an integer");
  if (!value) return std::nullopt;
  if (*value < min || *value > max)
    throw BadInput(fmt::format("{}: key \"{}\" is {}, expected {} to {}", where_, key, *value, min, max));
  return *value;
}

int64_t GgufFile::require_int(std::string_view key, int64_t min, int64_t max) const {
  const auto value = find_int(key, min, max);
  if (!value) throw BadInput(fmt::format("{}: key \"{}\" is missing", where_, key));
  return *value;
}

std::optional<double> GgufFile::find_number(std::string_view key) const {
  const auto* value = find_as<double>(key, "a floating-point number");
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<bool> GgufFile::find_bool(std::string_view key) const {
  const auto* value = find_as<bool>(key, "true or false");
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<std::string> GgufFile::find_string(std::string_view key) const {
  const auto* value = find_as<std::string_view>(key, "a string");
  if (!value) return std::nullopt;
  if (!is_utf8(*value)) throw BadInput(fmt::format("{}: key \"{}\" is not UTF-8", where_, key));
  return std::string(*value);
}

template <class T>
const T* GgufFile::find_list(std::string_view key) const {
  return find_as<T>(key, "a list of the expected kind");
}
template const GgufInts* GgufFile::find_list<GgufInts>(std::string_view) const;
template const GgufFloats* GgufFile::find_list<GgufFloats>(std::string_view) const;
template const GgufStrings* GgufFile::find_list<GgufStrings>(std::string_view) const;

}  // namespace aquatint::checkpoint
