// config.json's keys → Shape, by family. Needs no weights and less than a run does: the planner knows more
// families than the decoder.
#include <algorithm>
#include <optional>

#include "base/error.h"
#include "plan/shape.h"

namespace aquatint::plan {
namespace {

using base::BadInput;
using base::Json;

// Far above any model, low enough that products of two cannot overflow.
constexpr int64_t kMost = int64_t{1} << 26;

// What families differ in.
struct Family {
  std::string_view model_type;
  int64_t norms_per_layer = 2;  // of the hidden size
  bool gated = true;            // three matrices in the MLP, otherwise two
  bool qkv_bias = false;
  bool qk_norm = false;
  bool tied = false;         // when the config does not say
  int64_t head_dim = 0;      // when the config does not say; 0: hidden / heads
  int64_t windowed_run = 0;  // of this many layers one sees everything; 0: windows only where asked for
};

constexpr Family kFamilies[] = {
    {.model_type = "llama"},
    {.model_type = "mistral", .windowed_run = -1},
    {.model_type = "mixtral"},
    {.model_type = "qwen2", .qkv_bias = true},
    {.model_type = "qwen2_moe", .qkv_bias = true},
    {.model_type = "qwen3", .qk_norm = true, .head_dim = 128},
    {.model_type = "qwen3_moe", .qk_norm = true, .head_dim = 128},
    {.model_type = "gemma", .tied = true, .head_dim = 256},
    {.model_type = "gemma2", .norms_per_layer = 4, .tied = true, .head_dim = 256, .windowed_run = 2},
    {.model_type = "gemma3_text",
     .norms_per_layer = 4,
     .qk_norm = true,
     .tied = true,
     .head_dim = 256,
     .windowed_run = 6},
    {.model_type = "phi", .norms_per_layer = 1, .gated = false, .qkv_bias = true},
    {.model_type = "phi3"},
    {.model_type = "deepseek_v2"},
    {.model_type = "deepseek_v3"},
};

const Family& family_of(const std::string& type, const std::string& where) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.model_type == type) return family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.model_type);
  }
  throw BadInput(
      fmt::format("{}: model_type \"{}\" is not known to the planner (it knows {}); give a shape instead: "
                  "--parameters with a known model's name or size",
                  where, type, known));
}

bool is_latent(const Json& config) {
  return config.contains("kv_lora_rank") && !config.at("kv_lora_rank").is_null();
}

bool has_experts(const std::string& type) {
  return type == "mixtral" || type == "qwen2_moe" || type == "qwen3_moe" || type.starts_with("deepseek");
}

// All that lack at once, so that a user repairs a config in one go.
void require_keys(const Json& config, const std::string& type, const std::string& where) {
  std::vector<std::string> keys = {"hidden_size", "intermediate_size", "num_hidden_layers",
                                   "num_attention_heads", "vocab_size"};
  if (has_experts(type)) keys.push_back("num_experts_per_tok");
  if (type == "mixtral") keys.push_back("num_local_experts");
  if (type.starts_with("qwen") && has_experts(type))
    keys.insert(keys.end(), {"num_experts", "moe_intermediate_size"});
  if (type.starts_with("deepseek"))
    keys.insert(keys.end(), {"n_routed_experts", "moe_intermediate_size", "kv_lora_rank", "qk_nope_head_dim",
                             "qk_rope_head_dim", "v_head_dim"});
  std::erase_if(keys, [&](const std::string& key) { return config.contains(key); });
  if (!keys.empty())
    throw BadInput(
        fmt::format("{}: a plan for model_type \"{}\" needs the keys {}, which lack; is this the "
                    "model's whole config.json?",
                    where, type, fmt::join(keys, ", ")));
}

// Reads one config into one shape.
class ShapeReader {
 public:
  ShapeReader(const Json& config, const Family& family, const std::string& where)
      : config_(config), family_(family), where_(where) {}

  Shape read() {
    read_sizes();
    is_latent(config_) ? add_latent_attention() : add_attention();
    add_mlp();
    shape_.vectors +=
        static_cast<double>(shape_.hidden) * static_cast<double>(shape_.layers * family_.norms_per_layer + 1);
    add(Part::embedding, shape_.vocabulary, shape_.hidden, 1, 0);
    add(Part::head, shape_.vocabulary, shape_.hidden, 1, 1);
    return std::move(shape_);
  }

 private:
  int64_t number(const char* key) const { return base::require_int(config_, key, where_, 1, kMost); }
  int64_t number_or(const char* key, int64_t otherwise) const {
    return base::int_or(config_, key, otherwise, where_, 0, kMost);
  }
  void add(Part part, int64_t rows, int64_t cols, int64_t count, int64_t passed) {
    if (count > 0) shape_.matrices.push_back({part, rows, cols, count, passed});
  }
  void add(Part part, int64_t rows, int64_t cols, int64_t count) { add(part, rows, cols, count, count); }
  void add_vectors(int64_t each, int64_t count) { shape_.vectors += static_cast<double>(each * count); }

  void read_sizes() {
    shape_.name = base::string_or(config_, "_name_or_path", "", where_);
    shape_.model_type = family_.model_type;
    shape_.hidden = number("hidden_size");
    shape_.layers = number("num_hidden_layers");
    shape_.vocabulary = number("vocab_size");
    shape_.heads = number("num_attention_heads");
    shape_.max_context = number_or("max_position_embeddings", 0);
    shape_.tied_embeddings = base::bool_or(config_, "tie_word_embeddings", family_.tied, where_);
  }

  void add_attention() {
    Shape& s = shape_;
    s.kv_heads = number_or("num_key_value_heads", s.heads);
    s.head_dim = number_or("head_dim", family_.head_dim > 0 ? family_.head_dim : s.hidden / s.heads);
    if (s.kv_heads < 1 || s.heads % s.kv_heads != 0)
      throw BadInput(fmt::format("{}: num_attention_heads = {} is not a multiple of num_key_value_heads = {}",
                                 where_, s.heads, s.kv_heads));
    if (s.head_dim < 1)
      throw BadInput(
          fmt::format("{}: hidden_size = {} is less than num_attention_heads = {}, and head_dim is "
                      "not given",
                      where_, s.hidden, s.heads));
    const int64_t q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
    add(Part::attention, q, s.hidden, s.layers);
    add(Part::attention, kv, s.hidden, 2 * s.layers);
    add(Part::attention, s.hidden, q, s.layers);
    const bool bias = family_.qkv_bias || base::bool_or(config_, "attention_bias", false, where_);
    if (bias) add_vectors(q + 2 * kv, s.layers);
    if (family_.qk_norm) add_vectors(2 * s.head_dim, s.layers);
    add_cache(2 * s.kv_heads, s.head_dim, static_cast<double>(2 * q), static_cast<double>(2 * q));
  }

  // DeepSeek-V2, arXiv 2405.04434: a token keeps one vector for all heads; generating, queries are brought
  // into its space, prompts are computed head by head.
  void add_latent_attention() {
    Shape& s = shape_;
    const int64_t latent = number("kv_lora_rank"), rope = number("qk_rope_head_dim"),
                  nope = number("qk_nope_head_dim"), value = number("v_head_dim"),
                  q_rank = number_or("q_lora_rank", 0), q = s.heads * (nope + rope);
    s.kv_heads = 1;
    s.head_dim = nope + rope;
    if (q_rank > 0) {
      add(Part::attention, q_rank, s.hidden, s.layers);
      add(Part::attention, q, q_rank, s.layers);
      add_vectors(q_rank, s.layers);
    } else {
      add(Part::attention, q, s.hidden, s.layers);
    }
    add(Part::attention, latent + rope, s.hidden, s.layers);
    add(Part::attention, s.heads * (nope + value), latent, s.layers);
    add(Part::attention, s.hidden, s.heads * value, s.layers);
    add_vectors(latent, s.layers);
    add_cache(1, latent + rope, static_cast<double>(s.heads * (2 * latent + rope)),
              static_cast<double>(s.heads * (nope + rope + value)));
  }

  void add_cache(int64_t vectors, int64_t width, double macs, double prompt_macs) {
    const int64_t windowed = windowed_layers();
    const auto push = [&](int64_t layers, int64_t window) {
      if (layers > 0) shape_.cache.push_back({layers, vectors, width, window, macs, prompt_macs});
    };
    push(shape_.layers - windowed, 0);
    push(windowed, windowed > 0 ? number("sliding_window") : 0);
  }

  int64_t windowed_layers() const {
    if (number_or("sliding_window", 0) == 0) return 0;
    if (family_.windowed_run < 0) return shape_.layers;
    const int64_t run = number_or("sliding_window_pattern", family_.windowed_run);
    if (family_.windowed_run > 0 && run > 0) return shape_.layers - shape_.layers / run;
    if (!base::bool_or(config_, "use_sliding_window", false, where_)) return 0;
    return std::max<int64_t>(0, shape_.layers - number_or("max_window_layers", 28));
  }

  // One MLP, or `of` alike of which a token passes `passed`, in each of `layers`.
  void add_mlps(Part part, int64_t width, int64_t layers, int64_t of, int64_t passed) {
    const int64_t wide = family_.gated ? 2 : 1;
    add(part, width, shape_.hidden, wide * layers * of, wide * layers * passed);
    add(part, shape_.hidden, width, layers * of, layers * passed);
  }

  void add_mlp() {
    Shape& s = shape_;
    if (!has_experts(std::string(family_.model_type)))
      return add_mlps(Part::mlp, number("intermediate_size"), s.layers, 1, 1);
    const bool deepseek = family_.model_type.starts_with("deepseek"),
               mixtral = family_.model_type == "mixtral";
    s.experts = number(mixtral ? "num_local_experts" : deepseek ? "n_routed_experts" : "num_experts");
    s.experts_per_token = number("num_experts_per_tok");
    if (s.experts_per_token > s.experts)
      throw BadInput(fmt::format("{}: num_experts_per_tok = {} is more than the {} experts", where_,
                                 s.experts_per_token, s.experts));
    const int64_t dense = std::min(s.layers, dense_layers(deepseek)), sparse = s.layers - dense;
    const int64_t width = number(mixtral ? "intermediate_size" : "moe_intermediate_size");
    if (dense > 0) add_mlps(Part::mlp, number("intermediate_size"), dense, 1, 1);
    add_mlps(Part::expert, width, sparse, s.experts, s.experts_per_token);
    if (deepseek) add_mlps(Part::mlp, width * number_or("n_shared_experts", 0), sparse, 1, 1);
    if (const int64_t shared = number_or("shared_expert_intermediate_size", 0); shared > 0) {
      add_mlps(Part::mlp, shared, sparse, 1, 1);
      add_vectors(s.hidden, sparse);
    }
    add(Part::router, s.experts, s.hidden, sparse);
    if (family_.model_type == "deepseek_v3") add_vectors(s.experts, sparse);
  }

  int64_t dense_layers(bool deepseek) const {
    if (deepseek) return number_or("first_k_dense_replace", 0);
    const auto only = config_.find("mlp_only_layers");
    if (only != config_.end() && only->is_array()) return static_cast<int64_t>(only->size());
    const int64_t every = std::max<int64_t>(1, number_or("decoder_sparse_step", 1));
    return shape_.layers - shape_.layers / every;
  }

  const Json& config_;
  const Family& family_;
  const std::string& where_;
  Shape shape_;
};

// Multimodal checkpoints keep the language model's numbers one level down.
const Json& language_model(const Json& config) {
  const auto text = config.find("text_config");
  return text != config.end() && text->is_object() ? *text : config;
}

}  // namespace

Shape shape_from_config(const Json& whole, const std::string& where) {
  if (!whole.is_object())
    throw BadInput(fmt::format("{}: expected an object, found {}", where, whole.type_name()));
  const Json& config = language_model(whole);
  const std::string type = base::require_string(config, "model_type", where);
  const Family& family = family_of(type, where);
  require_keys(config, type, where);
  return ShapeReader(config, family, where).read();
}

}  // namespace aquatint::plan
