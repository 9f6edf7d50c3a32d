// Files: read by mapping, written so that a final name only ever holds a finished file.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace aquatint::base {

// A file mapped read-only. Empty files have empty bytes. Move-only; the bytes live as long as the object.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);  // BadInput when it cannot be opened or is no file
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  Bytes bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  void* data_ = nullptr;
  size_t size_ = 0;
};

enum class Access { soon, done };

// Tells the system that these bytes of a mapped file will be read soon, so that it starts reading ahead, or
// are done with, so that they no longer count as this process's memory. They stay readable either way.
void advise(Bytes bytes, Access access);

// Whole text file; BadInput when unreadable or larger than `max_bytes`.
std::string read_text(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 30);

// Writes beside `path` under a temporary name; commit() makes it durable (fsync) and renames it. Without
// commit() nothing stays behind. OutOfResource when the disk is full.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(Bytes bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  // Replaces bytes already written, for headers that are known last.
  void overwrite(uint64_t offset, Bytes bytes);
  uint64_t size() const { return size_; }
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

void write_text(const std::filesystem::path& path, std::string_view text);

}  // namespace aquatint::base
