#include "model/config.h"

#include <cmath>

#include "base/error.h"
#include "model/arch/arch.h"
#include "model/rope.h"

namespace aquatint::model {
namespace {

using base::BadInput;
using base::Json;

// Far above any model, low enough that products of two of them cannot overflow.
constexpr int64_t kMaxWidth = int64_t{1} << 24;
constexpr int64_t kMaxHeadDim = int64_t{1} << 16;
constexpr int64_t kMaxVocabulary = int64_t{1} << 30;
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxPositions = int64_t{1} << 30;

const Architecture& find_architecture(const Json& config, const std::string& where) {
  const std::string type = base::require_string(config, "model_type", where);
  std::string known;
  for (const Architecture* a : architectures()) {
    if (a->model_type == type) return *a;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", a->model_type);
  }
  throw BadInput(
      fmt::format("{}: model_type \"{}\" is not supported, expected one of {}", where, type, known));
}

// A classifier or a bare encoder of the same family has other tensors.
void check_class(const Json& config, const Architecture& arch, const std::string& where) {
  const auto it = config.find("architectures");
  if (it == config.end() || it->is_null()) return;
  if (!it->is_array()) throw BadInput(fmt::format("{}: key \"architectures\" is not a list", where));
  for (const Json& name : *it)
    if (name == arch.class_name) return;
  if (!it->empty())
    throw BadInput(fmt::format("{}: architectures is {}, expected {} for model_type {}", where,
                               it->dump(-1, ' ', false, Json::error_handler_t::replace), arch.class_name,
                               arch.model_type));
}

// Absent: the architecture's default; null: `of_null`.
int64_t int_or_defaults(const Json& config, const char* key, int64_t absent, int64_t of_null,
                        const std::string& where, int64_t max) {
  const bool given = config.contains(key);
  return base::int_or(config, key, given || absent == 0 ? of_null : absent, where, 1, max);
}

void read_attention_shape(const Json& config, const Architecture& arch, const std::string& where,
                          Config& out) {
  out.heads = base::require_int(config, "num_attention_heads", where, 1, kMaxWidth);
  out.kv_heads =
      int_or_defaults(config, "num_key_value_heads", arch.default_kv_heads, out.heads, where, kMaxWidth);
  if (out.heads % out.kv_heads != 0)
    throw BadInput(fmt::format("{}: num_attention_heads = {} is not a multiple of num_key_value_heads = {}",
                               where, out.heads, out.kv_heads));
  constexpr int64_t kFromHiddenSize = -1;
  const int64_t given =
      int_or_defaults(config, "head_dim", arch.default_head_dim, kFromHiddenSize, where, kMaxHeadDim);
  if (given == kFromHiddenSize && out.hidden_size % out.heads != 0)
    throw BadInput(
        fmt::format("{}: hidden_size = {} is not a multiple of num_attention_heads = {} and head_dim is "
                    "not given",
                    where, out.hidden_size, out.heads));
  out.head_dim = given == kFromHiddenSize ? out.hidden_size / out.heads : given;
  if (out.head_dim % 2 != 0 || out.head_dim > kMaxHeadDim)
    throw BadInput(
        fmt::format("{}: head_dim is {}, expected an even number (rotary embedding turns pairs) up to {}",
                    where, out.head_dim, kMaxHeadDim));
  if (out.heads > kMaxWidth / out.head_dim)
    throw BadInput(fmt::format("{}: num_attention_heads = {} times head_dim = {} is more than {}", where,
                               out.heads, out.head_dim, kMaxWidth));
}

int32_t token_id(const Json& value, const char* key, int64_t vocab_size, const std::string& where) {
  if (!value.is_number_integer() || value < 0 || value >= vocab_size)
    throw BadInput(fmt::format("{}: key \"{}\" holds {}, expected token ids below vocab_size = {}", where,
                               key, value.dump(-1, ' ', false, Json::error_handler_t::replace), vocab_size));
  return value.get<int32_t>();
}

void read_special_tokens(const Json& config, const std::string& where, Config& out) {
  const auto eos = config.find("eos_token_id");
  if (eos != config.end() && eos->is_array()) {
    for (const Json& id : *eos) out.eos_ids.push_back(token_id(id, "eos_token_id", out.vocab_size, where));
  } else if (eos != config.end() && !eos->is_null()) {
    out.eos_ids.push_back(token_id(*eos, "eos_token_id", out.vocab_size, where));
  }
  const auto bos = config.find("bos_token_id");
  if (bos != config.end() && !bos->is_null())
    out.bos_id = token_id(*bos, "bos_token_id", out.vocab_size, where);
}

void check_activation(const Json& config, const std::string& where) {
  const std::string act = base::string_or(config, "hidden_act", "silu", where);
  if (act != "silu" && act != "swish")
    throw BadInput(fmt::format("{}: hidden_act is \"{}\", only silu is supported", where, act));
}

}  // namespace

Config parse_config(const Json& config, const std::string& where) {
  const Architecture& arch = find_architecture(config, where);
  check_class(config, arch, where);
  check_activation(config, where);
  Config out;
  out.model_type = arch.model_type;
  out.architecture = arch.class_name;
  out.vocab_size = base::require_int(config, "vocab_size", where, 1, kMaxVocabulary);
  out.hidden_size = base::require_int(config, "hidden_size", where, 1, kMaxWidth);
  out.intermediate_size = base::require_int(config, "intermediate_size", where, 1, kMaxWidth);
  out.layers = base::require_int(config, "num_hidden_layers", where, 1, kMaxLayers);
  out.max_positions = base::require_int(config, "max_position_embeddings", where, 1, kMaxPositions);
  read_attention_shape(config, arch, where, out);
  const double eps = base::number_or(config, "rms_norm_eps", 1e-6, where);
  if (!(eps >= 0 && eps < 1))
    throw BadInput(fmt::format("{}: rms_norm_eps is {}, expected a small positive number", where, eps));
  out.rms_eps = static_cast<float>(eps);
  out.tied_embeddings = base::bool_or(config, "tie_word_embeddings", false, where);
  read_special_tokens(config, where, out);
  const Rope rope = read_rope(config, where, out.head_dim, out.max_positions);
  out.rope_inv_freq = rope.inv_freq;
  out.rope_attention_factor = rope.attention_factor;
  out.windows.assign(static_cast<size_t>(out.layers), 0);
  arch.read_switches(config, where, out);
  out.rotations = read_rotations(config, where, out);
  return out;
}

}  // namespace aquatint::model
