// What the kinds of files share that are written through a descriptor.
#pragma once
#include <cstdint>
#include <filesystem>

#include "base/bytes.h"

namespace aquatint::base {

// Throws what `error` (an errno) of writing to `path` means: OutOfResource for a full disk, else BadUsage.
[[noreturn]] void write_failed(const std::filesystem::path& path, int error);

// All of the bytes, at `offset`.
void write_at(int fd, const std::filesystem::path& path, uint64_t offset, Bytes bytes);

// Makes renames and new files of a folder durable.
void sync_folder(const std::filesystem::path& folder);
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace aquatint::base
