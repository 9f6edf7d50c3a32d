#include "checkpoint/gguf_model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 40;

struct Architecture {
  std::string_view gguf, model_type, class_name;
  bool qkv_bias;  // stated by the architecture, not by a config.json key
};
constexpr std::array kArchitectures = {
    Architecture{"llama", "llama", "LlamaForCausalLM", false},
    Architecture{"qwen2", "qwen2", "Qwen2ForCausalLM", true},
    Architecture{"qwen3", "qwen3", "Qwen3ForCausalLM", false},
};

struct Rename {
  std::string_view gguf, hugging_face;
};
constexpr std::array kTop = {Rename{"token_embd", "model.embed_tokens"}, Rename{"output_norm", "model.norm"},
                             Rename{"output", "lm_head"}};
constexpr std::array kInLayer = {
    Rename{"attn_norm", "input_layernorm"},    Rename{"ffn_norm", "post_attention_layernorm"},
    Rename{"attn_q", "self_attn.q_proj"},      Rename{"attn_k", "self_attn.k_proj"},
    Rename{"attn_v", "self_attn.v_proj"},      Rename{"attn_output", "self_attn.o_proj"},
    Rename{"attn_q_norm", "self_attn.q_norm"}, Rename{"attn_k_norm", "self_attn.k_norm"},
    Rename{"ffn_gate", "mlp.gate_proj"},       Rename{"ffn_up", "mlp.up_proj"},
    Rename{"ffn_down", "mlp.down_proj"},
};

template <size_t n>
const Rename* lookup(const std::array<Rename, n>& table, std::string_view name) {
  const auto* found =
      std::find_if(table.begin(), table.end(), [&](const Rename& r) { return r.gguf == name; });
  return found == table.end() ? nullptr : found;
}

const Architecture& architecture_of(const GgufFile& file) {
  const std::string name = file.find_string("general.architecture").value_or("");
  for (const Architecture& a : kArchitectures)
    if (a.gguf == name) return a;
  throw BadInput(fmt::format("{}: architecture \"{}\" is not supported, expected llama, qwen2 or qwen3",
                             file.where(), name));
}

// Some converters write a per-layer list; one number is what config.json can say.
int64_t head_count(const GgufFile& file, const std::string& key, int64_t otherwise) {
  constexpr int64_t kMaxHeads = 1 << 16;
  if (!file.holds<GgufInts>(key)) return file.find_int(key, 1, kMaxHeads).value_or(otherwise);
  const GgufInts& list = *file.find_list<GgufInts>(key);
  const bool uniform =
      !list.empty() && std::count(list.begin(), list.end(), list.front()) == std::ssize(list);
  if (!uniform || list.front() < 1 || list.front() > kMaxHeads)
    throw BadInput(
        fmt::format("{}: key \"{}\" is not one positive number for all layers", file.where(), key));
  return list.front();
}

void refuse(const GgufFile& file, const std::string& key, bool harmless, const char* what) {
  if (!harmless) throw BadInput(fmt::format("{}: key \"{}\": {} is not supported", file.where(), key, what));
}

void add_shape(const GgufFile& file, const std::string& arch, Json& config) {
  auto key = [&](const char* name) { return arch + "." + name; };
  const int64_t hidden = file.require_int(key("embedding_length"), 1, kMaxExtent);
  const int64_t heads = head_count(file, key("attention.head_count"), 0);
  if (heads == 0)
    throw BadInput(fmt::format("{}: key \"{}\" is missing", file.where(), key("attention.head_count")));
  const auto key_length = file.find_int(key("attention.key_length"), 1, 1 << 16);
  if (!key_length && hidden % heads != 0)
    throw BadInput(fmt::format("{}: embedding_length {} is not divisible by head_count {}", file.where(),
                               hidden, heads));
  const int64_t head_dim = key_length.value_or(hidden / heads);
  refuse(file, key("attention.value_length"),
         file.find_int(key("attention.value_length"), 1, 1 << 16).value_or(head_dim) == head_dim,
         "a value length other than the key length");
  refuse(file, key("rope.dimension_count"),
         file.find_int(key("rope.dimension_count"), 0, 1 << 16).value_or(head_dim) == head_dim,
         "rotating a part of each head");
  refuse(file, key("expert_count"), file.find_int(key("expert_count"), 0, 1 << 16).value_or(0) == 0,
         "a mixture of experts");
  config["hidden_size"] = hidden;
  config["intermediate_size"] = file.require_int(key("feed_forward_length"), 1, kMaxExtent);
  config["num_hidden_layers"] = file.require_int(key("block_count"), 1, 1 << 16);
  config["num_attention_heads"] = heads;
  config["num_key_value_heads"] = head_count(file, key("attention.head_count_kv"), heads);
  config["head_dim"] = head_dim;
  config["max_position_embeddings"] = file.require_int(key("context_length"), 1, kMaxExtent);
  config["rms_norm_eps"] = shortest(file.find_number(key("attention.layer_norm_rms_epsilon")).value_or(1e-6));
  const GgufTensor* embedding = file.tensor("token_embd.weight");
  if (!embedding || embedding->shape.size() != 2)
    throw BadInput(
        fmt::format("{}: tensor 'token_embd.weight' is missing or not of two dimensions", file.where()));
  config["vocab_size"] = embedding->shape[0];
}

// linear and yarn have keys of their own; Llama 3's rule hides in a tensor of divisors.
void add_rope(const GgufFile& file, const std::string& arch, Json& config) {
  auto key = [&](const char* name) { return arch + ".rope." + name; };
  const double theta = shortest(file.find_number(key("freq_base")).value_or(10000.0));
  config["rope_theta"] = theta;
  config["rope_scaling"] = nullptr;
  const std::string type = file.find_string(key("scaling.type")).value_or("none");
  if (type == "linear" || type == "yarn") {
    Json scaling = {{"rope_type", type},
                    {"factor", shortest(file.find_number(key("scaling.factor")).value_or(1.0))}};
    if (const auto original = file.find_int(key("scaling.original_context_length"), 1, kMaxExtent))
      scaling["original_max_position_embeddings"] = *original;
    refuse(file, key("scaling.attn_factor"),
           file.find_number(key("scaling.attn_factor")).value_or(1.0) == 1.0, "an attention factor");
    for (const char* beta : {"beta_fast", "beta_slow"})
      if (const auto value = file.find_number(key(("scaling.yarn_" + std::string(beta)).c_str())))
        scaling[beta] = shortest(*value);
    config["rope_scaling"] = scaling;
  } else {
    refuse(file, key("scaling.type"), type == "none", "a rope scaling other than linear, yarn or Llama 3's");
  }
  const GgufTensor* factors = file.tensor("rope_freqs.weight");
  if (!factors) return;
  if (factors->type->name != "F32")
    throw BadInput(
        fmt::format("{}: tensor 'rope_freqs.weight' is {}, expected F32", file.where(), factors->type->name));
  std::vector<float> divisors(factors->bytes.size() / 4);
  std::memcpy(divisors.data(), factors->bytes.data(), divisors.size() * 4);
  if (2 * std::ssize(divisors) != config["head_dim"])
    throw BadInput(fmt::format("{}: tensor 'rope_freqs.weight' has {} factors, expected {}", file.where(),
                               divisors.size(), config["head_dim"].get<int64_t>() / 2));
  if (std::all_of(divisors.begin(), divisors.end(), [](float d) { return d == 1; })) return;
  const auto scaling = recover_llama3_rope(divisors, theta);
  if (!scaling || !config["rope_scaling"].is_null())
    throw BadInput(
        fmt::format("{}: tensor 'rope_freqs.weight' does not follow Llama 3's rope scaling, the only one "
                    "supported in this form; "
                    "use the model's safetensors",
                    file.where()));
  config["rope_scaling"] = *scaling;
}

void add_tokens(const GgufFile& file, int64_t vocab, Json& config) {
  auto id = [&](const char* name) {
    return file.find_int(std::string("tokenizer.ggml.") + name + "_token_id", 0, vocab - 1);
  };
  if (const auto bos = id("bos")) config["bos_token_id"] = *bos;
  if (const auto eos = id("eos")) {
    config["eos_token_id"] = *eos;
    const auto turn = id("eot");  // end of a turn, where a chat ends on another token than a text
    if (turn && *turn != *eos) config["eos_token_id"] = {*eos, *turn};
  }
  if (const auto pad = id("padding")) config["pad_token_id"] = *pad;
}

// d(i) for one frequency, as llama.cpp's converter computes it.
double llama3_divisor(double wavelength, double factor, double low, double high, double original) {
  if (wavelength < original / high) return 1;
  if (wavelength > original / low) return factor;
  const double smooth = (original / wavelength - low) / (high - low);
  return 1 / ((1 - smooth) / factor + smooth);
}

}  // namespace

double shortest(double value) {
  const std::string text = fmt::format("{}", static_cast<float>(value));
  double out = value;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

// Between the plateaus 1 and `factor`, s(1/wavelength) is a line: its slope and offset give original and high
// once low is taken as 1. That choice changes nothing: the rule only knows the ratios original/low and
// original/high.
std::optional<Json> recover_llama3_rope(std::span<const float> divisors, double theta) {
  const auto n = static_cast<double>(divisors.size());
  const double factor = *std::max_element(divisors.begin(), divisors.end());
  if (!(factor > 1) || !std::isfinite(factor)) return std::nullopt;
  auto wavelength = [&](size_t i) {
    return 2 * std::numbers::pi * std::pow(theta, static_cast<double>(i) / n);
  };
  double first_x = 0, first_s = 0, last_x = 0, last_s = 0;
  int inside = 0;
  for (size_t i = 0; i < divisors.size(); ++i) {
    if (!(divisors[i] > 1.000001) || divisors[i] > factor * 0.999999) continue;
    last_x = 1 / wavelength(i);
    last_s = (1 / static_cast<double>(divisors[i]) - 1 / factor) / (1 - 1 / factor);
    if (inside++ == 0) first_x = last_x, first_s = last_s;
  }
  if (inside < 2) return std::nullopt;
  const double slope = (first_s - last_s) / (first_x - last_x),
               offset = slope * first_x - first_s;  // s = slope · x − offset
  const double high = std::round((1 + offset) / offset * 1000) / 1000,
               original = std::round(slope * (high - 1));
  if (!(high > 1) || !(original > 0) || original > static_cast<double>(kMaxExtent)) return std::nullopt;
  for (size_t i = 0; i < divisors.size(); ++i)
    if (!(std::fabs(divisors[i] / llama3_divisor(wavelength(i), factor, 1, high, original) - 1) < 1e-4))
      return std::nullopt;
  return Json{{"rope_type", "llama3"},
              {"factor", factor},
              {"low_freq_factor", 1.0},
              {"high_freq_factor", high},
              {"original_max_position_embeddings", static_cast<int64_t>(original)}};
}

Json gguf_config(const GgufFile& file) {
  const Architecture& architecture = architecture_of(file);
  const std::string arch(architecture.gguf);
  Json config = {{"architectures", {architecture.class_name}},
                 {"model_type", architecture.model_type},
                 {"hidden_act", "silu"},
                 {"torch_dtype", "bfloat16"}};
  add_shape(file, arch, config);
  add_rope(file, arch, config);
  add_tokens(file, config["vocab_size"].get<int64_t>(), config);
  config["tie_word_embeddings"] = file.tensor("output.weight") == nullptr;
  const bool attention_bias = file.tensor("blk.0.attn_q.bias") != nullptr;
  if (!architecture.qkv_bias) config["attention_bias"] = attention_bias;
  if (arch == "llama") config["mlp_bias"] = file.tensor("blk.0.ffn_gate.bias") != nullptr;
  const auto window = file.find_int(arch + ".attention.sliding_window", 0, kMaxExtent).value_or(0);
  if (arch == "llama" && window > 0) {
    config["architectures"] = {"MistralForCausalLM"};
    config["model_type"] = "mistral";
    config["sliding_window"] = window;
  } else if (arch != "llama") {
    config["use_sliding_window"] = false;
  }
  return config;
}

std::optional<std::string> hugging_face_name(std::string_view name) {
  if (name == "rope_freqs.weight") return "";
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view suffix = name.substr(dot);
  if (suffix != ".weight" && suffix != ".bias") return std::nullopt;
  std::string_view stem = name.substr(0, dot);
  if (const Rename* top = lookup(kTop, stem)) return std::string(top->hugging_face) + std::string(suffix);
  if (!stem.starts_with("blk.")) return std::nullopt;
  stem.remove_prefix(4);
  const size_t end = stem.find('.');
  if (end == std::string_view::npos || end == 0 || end > 6 ||
      !std::all_of(stem.begin(), stem.begin() + static_cast<int64_t>(end),
                   [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  const Rename* layer = lookup(kInLayer, stem.substr(end + 1));
  if (!layer) return std::nullopt;
  return fmt::format("model.layers.{}.{}{}", stem.substr(0, end), layer->hugging_face, suffix);
}

std::vector<int64_t> row_order(const Json& config, std::string_view arch, std::string_view name,
                               int64_t rows) {
  const bool q = name.find(".self_attn.q_proj.") != std::string_view::npos;
  const bool k = name.find(".self_attn.k_proj.") != std::string_view::npos;
  if (arch != "llama" || (!q && !k)) return {};
  const int64_t heads = config[q ? "num_attention_heads" : "num_key_value_heads"].get<int64_t>();
  if (rows % (2 * heads) != 0)
    throw BadInput(
        fmt::format("tensor '{}' has {} rows, not a multiple of twice its {} heads", name, rows, heads));
  const int64_t half = rows / heads / 2;
  std::vector<int64_t> order(static_cast<size_t>(rows));
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t side = 0; side < 2; ++side)
      for (int64_t i = 0; i < half; ++i)
        order[static_cast<size_t>((head * 2 + side) * half + i)] = (head * half + i) * 2 + side;
  return order;
}

}  // namespace aquatint::checkpoint
