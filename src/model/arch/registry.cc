#include "base/error.h"
#include "model/arch/arch.h"

namespace aquatint::model {
namespace {

constexpr const Architecture* kArchitectures[] = {&llama, &mistral, &qwen2, &qwen3};

bool has_window(const base::Json& layer_types, int64_t layer, const std::string& where) {
  const base::Json& type = layer_types[static_cast<size_t>(layer)];
  if (type == "sliding_attention") return true;
  if (type == "full_attention") return false;
  throw base::BadInput(
      fmt::format("{}: key \"layer_types\"[{}] is {}, expected \"full_attention\" or \"sliding_attention\"",
                  where, layer, type.dump(-1, ' ', false, base::Json::error_handler_t::replace)));
}

}  // namespace

std::span<const Architecture* const> architectures() { return kArchitectures; }

std::vector<int64_t> read_layer_windows(const base::Json& config, const std::string& where, int64_t layers) {
  std::vector<int64_t> windows(static_cast<size_t>(layers), 0);
  const int64_t window = base::int_or(config, "sliding_window", 0, where, 1);
  if (!base::bool_or(config, "use_sliding_window", false, where) || window == 0) return windows;
  const int64_t full_layers = base::int_or(config, "max_window_layers", 28, where);
  const auto types = config.find("layer_types");
  const bool listed = types != config.end() && !types->is_null();
  if (listed && (!types->is_array() || static_cast<int64_t>(types->size()) != layers))
    throw base::BadInput(
        fmt::format("{}: key \"layer_types\" is not a list of num_hidden_layers = {} names", where, layers));
  for (int64_t i = 0; i < layers; ++i)
    if (listed ? has_window(*types, i, where) : i >= full_layers) windows[static_cast<size_t>(i)] = window;
  return windows;
}

}  // namespace aquatint::model
