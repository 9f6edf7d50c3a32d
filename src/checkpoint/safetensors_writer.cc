#include "checkpoint/safetensors_writer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace aquatint::checkpoint {
namespace fs = std::filesystem;
using base::Json;
namespace {

constexpr uint64_t kAlign = 64;  // of the data's start
constexpr std::string_view kMetadata = R"({"__metadata__":{"format":"pt"})";

// The largest power of two up to 8 that divides a size: what the next tensor's start stays aligned to.
uint64_t alignment(uint64_t bytes) { return bytes == 0 ? 8 : std::min<uint64_t>(8, bytes & -bytes); }

std::string entry_text(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
                       uint64_t begin, uint64_t end) {
  return fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", Json(name).dump(), dtype,
                     fmt::join(shape, ","), begin, end);
}

uint64_t bytes_of(std::string_view dtype, const std::vector<int64_t>& shape) {
  uint64_t bits = static_cast<uint64_t>(safetensors_dtype_bits(dtype));
  AQ_CHECK(bits > 0, "dtype {}", dtype);
  for (const int64_t extent : shape) bits *= static_cast<uint64_t>(extent);
  return bits / 8;
}

std::string to_hex(base::Bytes bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<int>(byte));
  return text;
}

[[noreturn]] void bad_entry(const Json& entry) {
  throw base::BadInput(fmt::format("journal: {} is no written tensor; remove the folder and start again",
                                   entry.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80)));
}

std::vector<std::byte> from_hex(const std::string& text) {
  if (text.size() % 2 != 0) bad_entry(text);
  std::vector<std::byte> bytes(text.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    int value = 0;
    const char* digits = text.data() + 2 * i;
    if (std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2 || value < 0) bad_entry(text);
    bytes[i] = static_cast<std::byte>(value);
  }
  return bytes;
}

void rename_file(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error)
    throw base::OutOfResource(
        fmt::format("{}: cannot rename to {}: {}", from.string(), to.string(), error.message()));
}

}  // namespace

struct SafetensorsWriter::Shard {
  Shard(const fs::path& path, uint64_t header_room, base::GrowingFile::Start start)
      : file(path, start), room(header_room) {
    const std::string blank(8 + room, ' ');
    file.write(std::as_bytes(std::span(blank)));
  }
  base::GrowingFile file;
  uint64_t room;                         // for the header's text
  uint64_t used = kMetadata.size() + 1;  // at most, by the entries so far
  uint64_t data = 0;                     // bytes, held ones included
  std::vector<Entry> entries, held;
};

SafetensorsWriter::SafetensorsWriter(fs::path folder, uint64_t header_bytes, uint64_t shard_bytes)
    : folder_(std::move(folder)), header_bytes_(header_bytes), shard_bytes_(shard_bytes) {}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::add(const std::string& name, std::string_view dtype,
                            const std::vector<int64_t>& shape, base::Bytes bytes) {
  begin(name, dtype, shape);
  append(bytes);
  end();
}

void SafetensorsWriter::begin(const std::string& name, std::string_view dtype,
                              const std::vector<int64_t>& shape) {
  current_ = {name, std::string(dtype), shape, bytes_of(dtype, shape), 0, {}};
  received_ = 0;
  const uint64_t text = entry_text(name, current_.dtype, shape, UINT64_MAX, UINT64_MAX).size();
  if (shard_ && (shard_->used + text > shard_->room ||
                 (shard_->data > 0 && shard_->data + current_.bytes > shard_bytes_)))
    close_shard();
  if (!shard_) open_shard(kMetadata.size() + 1 + text);
  shard_->used += text;
  shard_->data += current_.bytes;
  current_.offset = shard_->file.size() - 8 - shard_->room;
}

void SafetensorsWriter::append(base::Bytes bytes) {
  received_ += bytes.size();
  AQ_CHECK(received_ <= current_.bytes, "{} bytes for '{}' of {}", received_, current_.name, current_.bytes);
  if (alignment(current_.bytes) == 8)
    shard_->file.write(bytes);
  else
    current_.held.insert(current_.held.end(), bytes.begin(), bytes.end());
}

void SafetensorsWriter::end() {
  AQ_CHECK(received_ == current_.bytes, "{} bytes for '{}' of {}", received_, current_.name, current_.bytes);
  unrecorded_.push_back({current_.name, current_.dtype, current_.shape, to_hex(current_.held)});
  (alignment(current_.bytes) == 8 ? shard_->entries : shard_->held).push_back(std::move(current_));
}

void SafetensorsWriter::open_shard(uint64_t least_header) {
  const uint64_t room = (8 + std::max(header_bytes_, least_header) + kAlign - 1) / kAlign * kAlign - 8;
  shard_ = std::make_unique<Shard>(
      folder_ / shard_name(names_.size()), room,
      restoring_ ? base::GrowingFile::Start::as_it_is : base::GrowingFile::Start::empty);
}

std::string SafetensorsWriter::shard_name(size_t index) const {
  return fmt::format("shard-{:05}", index + 1);
}

// Held tensors follow by falling alignment, so that each starts at a multiple of its own element's size.
void SafetensorsWriter::close_shard() {
  Shard& shard = *shard_;
  std::stable_sort(shard.held.begin(), shard.held.end(),
                   [](const Entry& a, const Entry& b) { return alignment(a.bytes) > alignment(b.bytes); });
  for (Entry& entry : shard.held) {
    entry.offset = shard.file.size() - 8 - shard.room;
    shard.file.write(entry.held);
    entry.held = {};
    shard.entries.push_back(std::move(entry));
  }
  std::string header(kMetadata);
  std::vector<std::string> names;
  for (const Entry& entry : shard.entries) {
    header += entry_text(entry.name, entry.dtype, entry.shape, entry.offset, entry.offset + entry.bytes);
    names.push_back(entry.name);
  }
  header += '}';
  AQ_CHECK(header.size() <= shard.room);
  shard.file.overwrite(0, std::as_bytes(std::span(&shard.room, 1)));
  shard.file.overwrite(8, std::as_bytes(std::span(header)));
  shard.file.cut();
  shard.file.sync();
  total_ += shard.data;
  names_.push_back(std::move(names));
  shard_.reset();
}

base::Json SafetensorsWriter::written() {
  if (shard_) shard_->file.sync();
  return std::exchange(unrecorded_, base::Json::array());
}

void SafetensorsWriter::restore(const base::Json& written) {
  if (!restoring_) use_shard_names();
  restoring_ = true;
  if (!written.is_array()) bad_entry(written);
  for (const base::Json& entry : written) restore_entry(entry);
}

void SafetensorsWriter::restore_entry(const base::Json& entry) {
  if (!entry.is_array() || entry.size() != 4 || !entry[0].is_string() || !entry[1].is_string() ||
      !entry[2].is_array() || !entry[3].is_string())
    bad_entry(entry);
  std::vector<int64_t> shape;
  uint64_t bits = static_cast<uint64_t>(safetensors_dtype_bits(entry[1].get<std::string>()));
  for (const base::Json& extent : entry[2]) {
    if (!extent.is_number_integer() || extent < 0) bad_entry(entry);
    shape.push_back(extent.get<int64_t>());
    if (__builtin_mul_overflow(bits, extent.get<uint64_t>(), &bits)) bad_entry(entry);
  }
  if (bits == 0) bad_entry(entry);
  const std::vector<std::byte> held = from_hex(entry[3].get<std::string>());
  if (held.size() != (alignment(bits / 8) == 8 ? 0 : bits / 8)) bad_entry(entry);
  begin(entry[0].get<std::string>(), entry[1].get<std::string>(), shape);
  if (held.empty()) {
    shard_->file.pass_over(current_.bytes);
    received_ = current_.bytes;
  }
  append(held);
  end();
  unrecorded_.clear();
}

void SafetensorsWriter::cut() {
  if (shard_) shard_->file.cut();
  restoring_ = false;
}

// Also of files that already had their final ones; whatever else was being finished is written again.
void SafetensorsWriter::use_shard_names() const {
  for (const auto& entry : std::vector<fs::directory_entry>(fs::directory_iterator(folder_), {})) {
    const std::string name = entry.path().filename().string();
    if (name == "model.safetensors")
      rename_file(entry.path(), folder_ / shard_name(0));
    else if (name.starts_with("model-") && name.ends_with(".safetensors"))
      rename_file(entry.path(), folder_ / ("shard-" + name.substr(6, 5)));
    else if (!name.starts_with("shard-"))
      fs::remove(entry.path());
  }
}

void SafetensorsWriter::finish() {
  if (!shard_ && names_.empty()) open_shard(kMetadata.size() + 1);
  if (shard_) close_shard();
  if (names_.size() == 1) {
    rename_file(folder_ / shard_name(0), folder_ / "model.safetensors");
    return;
  }
  Json index = {{"metadata", {{"total_size", total_}}}, {"weight_map", Json::object()}};
  for (size_t i = 0; i < names_.size(); ++i) {
    const std::string final_name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, names_.size());
    rename_file(folder_ / shard_name(i), folder_ / final_name);
    for (const std::string& name : names_[i]) index["weight_map"][name] = final_name;
  }
  base::write_text(folder_ / "model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace aquatint::checkpoint
