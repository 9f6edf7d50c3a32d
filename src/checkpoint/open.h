// The kinds of model that open_checkpoint() tells apart.
#pragma once
#include <filesystem>
#include <memory>

#include "checkpoint/checkpoint.h"

namespace aquatint::checkpoint {

std::unique_ptr<Checkpoint> open_gguf(const std::filesystem::path& path);
std::unique_ptr<Checkpoint> open_folder(const std::filesystem::path& path);

}  // namespace aquatint::checkpoint
