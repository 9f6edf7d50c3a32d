#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "base/hash.h"

namespace aquatint::checkpoint {
namespace fs = std::filesystem;
using base::BadInput;
using base::Json;
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the reference implementation's limit

struct Dtype {
  std::string_view name;
  int bits;
};
constexpr std::array kDtypes = {
    Dtype{"BOOL", 8},    Dtype{"F4", 4},          Dtype{"F6_E2M3", 6},     Dtype{"F6_E3M2", 6},
    Dtype{"U8", 8},      Dtype{"I8", 8},          Dtype{"F8_E5M2", 8},     Dtype{"F8_E4M3", 8},
    Dtype{"F8_E8M0", 8}, Dtype{"F8_E4M3FNUZ", 8}, Dtype{"F8_E5M2FNUZ", 8}, Dtype{"I16", 16},
    Dtype{"U16", 16},    Dtype{"F16", 16},        Dtype{"BF16", 16},       Dtype{"I32", 32},
    Dtype{"U32", 32},    Dtype{"F32", 32},        Dtype{"C64", 64},        Dtype{"F64", 64},
    Dtype{"I64", 64},    Dtype{"U64", 64},
};

// A key twice in one object would silently lose a tensor: the callback refuses it, and nesting that no header
// has.
Json parse_header(std::string_view text, const std::string& where) {
  constexpr int kMaxDepth = 4;
  std::vector<std::set<std::string>> keys(kMaxDepth + 2);
  auto guard = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxDepth)
      throw BadInput(fmt::format("{}: header nested deeper than {} levels", where, kMaxDepth));
    if (event == Json::parse_event_t::object_start) keys[static_cast<size_t>(depth) + 1].clear();
    if (event == Json::parse_event_t::key &&
        !keys[static_cast<size_t>(depth)].insert(parsed.get<std::string>()).second)
      throw BadInput(fmt::format("{}: header names '{}' twice", where, parsed.get<std::string>()));
    return true;
  };
  try {
    return Json::parse(text, guard);
  } catch (const Json::exception& e) {
    throw BadInput(fmt::format("{}: header is not valid JSON: {}", where, e.what()));
  }
}

uint64_t as_size(const Json& value, const std::string& where, const char* what) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    throw BadInput(
        fmt::format("{}: {} holds {}, expected a non-negative 63-bit integer", where, what, value.dump()));
  return value.get<uint64_t>();
}

SafetensorsEntry parse_entry(const std::string& name, const Json& value, const std::string& file) {
  const std::string where = fmt::format("{}: tensor '{}'", file, name);
  SafetensorsEntry entry;
  entry.name = name;
  entry.dtype = base::require_string(value, "dtype", where);
  if (!safetensors_dtype_bits(entry.dtype))
    throw BadInput(
        fmt::format("{}: unknown dtype '{}', expected one such as F32, BF16, I32", where, entry.dtype));
  const auto shape = value.find("shape"), offsets = value.find("data_offsets");
  if (shape == value.end() || !shape->is_array())
    throw BadInput(fmt::format("{}: \"shape\" is missing or not a list", where));
  if (offsets == value.end() || !offsets->is_array() || offsets->size() != 2)
    throw BadInput(fmt::format("{}: \"data_offsets\" is missing or not [begin, end]", where));
  for (const Json& extent : *shape)
    entry.shape.push_back(static_cast<int64_t>(as_size(extent, where, "\"shape\"")));
  entry.begin = as_size((*offsets)[0], where, "\"data_offsets\"");
  entry.end = as_size((*offsets)[1], where, "\"data_offsets\"");
  return entry;
}

// Bytes that the shape and dtype need; BadInput when they overflow or are no whole number.
uint64_t size_by_shape(const SafetensorsEntry& entry, const std::string& file) {
  std::optional<uint64_t> bits = static_cast<uint64_t>(safetensors_dtype_bits(entry.dtype));
  for (int64_t extent : entry.shape)
    if (bits) bits = base::checked_mul(*bits, static_cast<uint64_t>(extent));
  if (!bits) throw BadInput(fmt::format("{}: tensor '{}': shape overflows 64 bits", file, entry.name));
  if (*bits % 8 != 0)
    throw BadInput(
        fmt::format("{}: tensor '{}': {} bits are no whole number of bytes", file, entry.name, *bits));
  return *bits / 8;
}

void check_data(const SafetensorsHeader& header, uint64_t file_size, const std::string& where) {
  uint64_t position = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.begin != position)
      throw BadInput(
          fmt::format("{}: tensor '{}' begins at {}, expected {} (data may not overlap or leave holes)",
                      where, entry.name, entry.begin, position));
    const uint64_t expected = size_by_shape(entry, where);
    if (entry.end < entry.begin || entry.end - entry.begin != expected)
      throw BadInput(
          fmt::format("{}: tensor '{}' lies at bytes {} to {}, its shape and dtype {} need {} bytes", where,
                      entry.name, entry.begin, entry.end, entry.dtype, expected));
    position = entry.end;
  }
  const auto end = base::checked_add(header.data_begin, position);
  if (!end || *end != file_size)
    throw BadInput(fmt::format("{}: {} bytes long, its header describes {}; the file is {}: fetch it again",
                               where, file_size, end.value_or(UINT64_MAX),
                               end && *end < file_size ? "too long" : "truncated"));
}

}  // namespace

int safetensors_dtype_bits(std::string_view dtype) {
  const auto* found =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const Dtype& d) { return d.name == dtype; });
  return found == kDtypes.end() ? 0 : found->bits;
}

SafetensorsHeader parse_safetensors(base::Bytes file, const std::string& where) {
  if (file.size() < 8)
    throw BadInput(fmt::format("{}: {} bytes, too short for a safetensors header", where, file.size()));
  const uint64_t length = base::load<uint64_t>(file.data());
  if (length > kMaxHeader)
    throw BadInput(fmt::format("{}: header of {} bytes, expected at most {}; is this a safetensors file?",
                               where, length, kMaxHeader));
  if (length > file.size() - 8)
    throw BadInput(
        fmt::format("{}: header of {} bytes in a file of {}; the file is truncated: fetch it again", where,
                    length, file.size()));
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, length);
  if (!text.starts_with('{')) throw BadInput(fmt::format("{}: header does not begin with '{{'", where));
  const Json json = parse_header(text, where);
  SafetensorsHeader header;
  header.data_begin = 8 + length;
  for (const auto& [name, value] : json.items()) {
    if (name != "__metadata__") {
      header.entries.push_back(parse_entry(name, value, where));
      continue;
    }
    if (!value.is_object() ||
        !std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_string(); }))
      throw BadInput(fmt::format("{}: __metadata__ must map strings to strings", where));
  }
  std::stable_sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_data(header, file.size(), where);
  return header;
}

std::string TensorView::where() const { return fmt::format("{}: tensor '{}'", *file, info->name); }

SafetensorsSet::SafetensorsSet(const fs::path& folder, std::vector<std::string>& warnings) {
  const fs::path single = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  if (fs::exists(single)) {
    const File& file = open_file(single);
    for (const SafetensorsEntry& entry : file.header.entries) add(file, entry);
    if (fs::exists(index))
      warnings.push_back(fmt::format(
          "{}: beside model.safetensors.index.json; read as transformers does, the shards are not; "
          "remove whichever is stale",
          single.string()));
  } else if (fs::exists(index)) {
    open_index(index);
  } else {
    throw BadInput(
        fmt::format("{}: holds neither model.safetensors nor model.safetensors.index.json", folder.string()));
  }
  make_views();
}

void SafetensorsSet::open_index(const fs::path& index) {
  const std::string where = index.string();
  const Json json = base::parse_json(base::read_text(index), where);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object())
    throw BadInput(fmt::format("{}: \"weight_map\" is missing or no object", where));
  std::map<std::string, std::map<std::string, const SafetensorsEntry*>> entries_of;
  std::map<std::string, const File*> opened;
  for (const auto& [name, value] : map->items()) {
    if (!value.is_string())
      throw BadInput(fmt::format("{}: file of tensor '{}' is not a string", where, name));
    const std::string file_name = value.get<std::string>();
    if (fs::path(file_name).filename() != fs::path(file_name) || !file_name.ends_with(".safetensors"))
      throw BadInput(fmt::format(
          "{}: tensor '{}' lies in '{}', expected the name of a .safetensors file beside the index", where,
          name, file_name));
    auto& entries = entries_of[file_name];
    if (!opened.contains(file_name)) {
      const File& file = open_file(index.parent_path() / file_name);
      opened[file_name] = &file;
      for (const SafetensorsEntry& entry : file.header.entries) entries[entry.name] = &entry;
    }
    const auto found = entries.find(name);
    if (found == entries.end())
      throw BadInput(fmt::format("{}: tensor '{}' is not in '{}'; the index is stale: fetch the model again",
                                 where, name, file_name));
    add(*opened[file_name], *found->second);
  }
}

SafetensorsSet::File& SafetensorsSet::open_file(const fs::path& path) {
  base::MappedFile mapped(path);
  SafetensorsHeader header = parse_safetensors(mapped.bytes(), path.string());
  files_.push_back(std::make_unique<File>(
      File{path.filename().string(), path.string(), std::move(mapped), std::move(header)}));
  return *files_.back();
}

void SafetensorsSet::add(const File& file, const SafetensorsEntry& entry) {
  StoredTensor tensor{entry.name, entry.dtype, entry.shape, entry.end - entry.begin, 0};
  tensor.parameters = tensor.elements();
  by_name_[entry.name] = tensors_.size();
  tensors_.push_back(std::move(tensor));
  views_.push_back(
      {nullptr, file.mapped.bytes().subspan(file.header.data_begin + entry.begin, entry.end - entry.begin),
       &file.path});
}

void SafetensorsSet::make_views() {
  for (size_t i = 0; i < tensors_.size(); ++i) views_[i].info = &tensors_[i];
}

const TensorView* SafetensorsSet::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &views_[found->second];
}

std::vector<const TensorView*> SafetensorsSet::starting_with(const std::string& prefix) const {
  std::vector<const TensorView*> found;
  for (auto at = by_name_.lower_bound(prefix); at != by_name_.end() && at->first.starts_with(prefix); ++at)
    found.push_back(&views_[at->second]);
  return found;
}

std::string SafetensorsSet::sha256() const {
  std::vector<const File*> files;
  for (const auto& file : files_) files.push_back(file.get());
  std::sort(files.begin(), files.end(), [](const File* a, const File* b) { return a->name < b->name; });
  base::Sha256 hash;
  for (const File* file : files) {
    hash.update(std::as_bytes(std::span(file->name)));
    hash.update(file->mapped.bytes());
  }
  return hash.hex();
}

}  // namespace aquatint::checkpoint
