#include "quant/llm_compressor_scheme.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/suggestion.h"
#include "numeric/composed_scheme.h"

namespace aquatint::quant {
namespace {

using numeric::Granularity;

constexpr std::array<std::string_view, 12> kArguments = {
    "num_bits", "type",     "symmetric",       "strategy", "group_size",  "block_structure",
    "dynamic",  "observer", "observer_kwargs", "actorder", "scale_dtype", "zp_dtype"};

struct Arguments {
  const numeric::Format* format;
  Granularity granularity;
  bool symmetric, dynamic;
  int group;                            // 0: none
  const numeric::Format* scale_format;  // null: 16 or 32 bits
};

struct Strategy {
  std::string_view name;
  Granularity granularity;
};
constexpr std::array kStrategies = {
    Strategy{"tensor", Granularity::tensor},      Strategy{"channel", Granularity::channel},
    Strategy{"group", Granularity::group},        Strategy{"block", Granularity::block},
    Strategy{"tensor_group", Granularity::group}, Strategy{"token", Granularity::token}};

// As compressed-tensors infers it where it is not said.
std::string strategy_of(const eval::YamlNode& args, int64_t group, const eval::YamlReader& reader) {
  const eval::YamlNode* node = args.find("strategy");
  if (node) return reader.text(*node, "strategy");
  return group > 0 ? "group" : group < 0 ? "channel" : "tensor";
}

Granularity granularity_of(const std::string& strategy, const eval::YamlNode& args,
                           const eval::YamlReader& reader) {
  for (const Strategy& known : kStrategies)
    if (known.name == strategy) return known.granularity;
  reader.fail(args.line, fmt::format("strategy '{}' is not supported", strategy));
}

const numeric::Format* format_of(const eval::YamlNode& args, const eval::YamlReader& reader) {
  const eval::YamlNode* bits_node = args.find("num_bits");
  const eval::YamlNode* type_node = args.find("type");
  const int64_t bits = bits_node ? reader.integer(*bits_node, "num_bits", 1, 16) : 8;
  const std::string type = type_node ? reader.text(*type_node, "type") : "int";
  const numeric::Format* format = nullptr;
  if (type == "int") format = numeric::find_format(fmt::format("int{}", bits));
  if (type == "float")
    format = bits == 8   ? &numeric::fp8_e4m3
             : bits == 6 ? &numeric::fp6_e2m3
             : bits == 4 ? &numeric::fp4_e2m1
                         : nullptr;
  if (!format) reader.fail(args.line, fmt::format("{} of {} bits is not supported", type, bits));
  return format;
}

// NVFP4 is known by its strategy, the MX formats by the type of their scales.
const numeric::Format* scale_format_of(const std::string& strategy, const eval::YamlNode& args) {
  if (strategy == "tensor_group") return &numeric::fp8_e4m3;
  const eval::YamlNode* type = args.find("scale_dtype");
  return type && type->text.ends_with("uint8") ? &numeric::e8m0 : nullptr;
}

// Tiles are square.
int tile_of(const eval::YamlNode& args, const eval::YamlReader& reader) {
  const eval::YamlNode* block = args.find("block_structure");
  if (!block || block->items.size() != 2 || block->items[0].text != block->items[1].text)
    reader.fail(args.line, "strategy block needs block_structure: [128, 128]");
  return static_cast<int>(reader.integer(block->items[0], "block_structure", 1, 1 << 20));
}

bool boolean_or(const eval::YamlNode& args, std::string_view key, bool otherwise,
                const eval::YamlReader& reader) {
  const eval::YamlNode* node = args.find(key);
  return node ? reader.boolean(*node, key) : otherwise;
}

// "local" is NVFP4's: scales from the values at hand, under a calibrated one.
bool is_dynamic(const eval::YamlNode& args, const std::string& strategy, const eval::YamlReader& reader) {
  const eval::YamlNode* node = args.find("dynamic");
  if (node && node->text == "local" && strategy == "tensor_group") return true;
  return boolean_or(args, "dynamic", false, reader);
}

Arguments read_arguments(const eval::YamlNode& args, std::string_view what, const eval::YamlReader& reader) {
  reader.require_keys(reader.map(args, what), kArguments, what);
  const eval::YamlNode* size = args.find("group_size");
  const int64_t group = size ? reader.integer(*size, "group_size", -1, 1 << 20) : 0;
  const std::string strategy = strategy_of(args, group, reader);
  const Granularity granularity = granularity_of(strategy, args, reader);
  const bool tiles = granularity == Granularity::block;
  return {format_of(args, reader),
          granularity,
          boolean_or(args, "symmetric", true, reader),
          is_dynamic(args, strategy, reader),
          tiles ? tile_of(args, reader) : static_cast<int>(std::max<int64_t>(group, 0)),
          scale_format_of(strategy, args)};
}

const numeric::Scheme* preset_like(const Arguments& weights, const std::optional<Arguments>& input) {
  numeric::Scheme scheme;
  scheme.weights.format = weights.format;
  scheme.weights.granularity = weights.granularity;
  scheme.weights.group = weights.group;
  scheme.weights.symmetric = weights.symmetric;
  if (weights.scale_format) scheme.weights.scale_format = weights.scale_format;
  if (input) {
    if (!input->symmetric) return nullptr;
    scheme.input = {input->format, input->granularity, input->dynamic, 0, input->group, &numeric::fp32};
    if (input->scale_format) scheme.input.scale_format = input->scale_format;
  }
  const numeric::Scheme* preset = numeric::preset_of(scheme);
  return preset ? preset : numeric::composed_like(scheme);
}

void note_idle(const eval::YamlNode& args, std::string_view what,
               std::initializer_list<std::string_view> keys, const eval::YamlReader& reader,
               std::vector<std::string>& notes) {
  for (const std::string_view key : keys)
    if (const eval::YamlNode* value = args.find(key); value && !value->says_nothing())
      notes.push_back(fmt::format("{}:{}: {}.{} has no effect here", reader.where(), value->line, what, key));
}

}  // namespace

const numeric::Scheme* llm_compressor_preset(const std::string& name, int line,
                                             const eval::YamlReader& reader) {
  const bool is_int8 = name == "INT8" || name == "INT8_W8A8";
  if (const numeric::Scheme* scheme = numeric::find_scheme(is_int8 ? "W8A8" : name)) return scheme;
  std::vector<std::string_view> known;
  for (const numeric::Scheme& scheme : numeric::schemes()) known.push_back(scheme.name);
  reader.fail(line, fmt::format("scheme '{}' is not supported{}", name, base::suggestion(name, known)));
}

Clip llm_compressor_clip(const std::string& observer, int line, const eval::YamlReader& reader) {
  if (observer == "mse" || observer == "memoryless_mse") return Clip::mse;
  constexpr std::array<std::string_view, 3> kWholeRange = {"minmax", "memoryless_minmax", "static_minmax"};
  if (std::find(kWholeRange.begin(), kWholeRange.end(), observer) != kWholeRange.end()) return Clip::none;
  reader.fail(line, fmt::format("observer '{}' is not supported; known: minmax, mse", observer));
}

SchemeWords llm_compressor_group(const eval::YamlNode& group, const eval::YamlReader& reader,
                                 std::vector<std::string>& notes) {
  constexpr std::array<std::string_view, 5> kKeys = {"targets", "weights", "input_activations",
                                                     "output_activations", "format"};
  reader.require_keys(group, kKeys, "a config group");
  const eval::YamlNode* weights = group.find("weights");
  const eval::YamlNode* input = group.find("input_activations");
  if (!weights) reader.fail(group.line, "a config group without weights quantizes nothing");
  if (const eval::YamlNode* output = group.find("output_activations"))
    reader.fail(output->line, "quantized outputs are not supported");
  if (const eval::YamlNode* format = group.find("format"))
    notes.push_back(fmt::format("{}:{}: format has no effect: the layout follows from the scheme",
                                reader.where(), format->line));
  const Arguments of_weights = read_arguments(*weights, "weights", reader);
  std::optional<Arguments> of_input;
  if (input) {
    of_input = read_arguments(*input, "input_activations", reader);
    note_idle(*input, "input_activations", {"observer", "observer_kwargs", "zp_dtype", "actorder"}, reader,
              notes);
  }
  note_idle(*weights, "weights", {"observer_kwargs", "zp_dtype"}, reader, notes);
  if (of_weights.dynamic) reader.fail(weights->line, "weights cannot be dynamic");
  SchemeWords words;
  words.scheme = preset_like(of_weights, of_input);
  if (!words.scheme)
    reader.fail(group.line,
                "no scheme here has these weights and inputs; aquatint formats lists those there are");
  const numeric::WeightScheme& preset = words.scheme->weights;
  const bool said = preset.granularity == Granularity::group && !preset.fixed_group();
  if (said || of_weights.group != preset.group) words.group = of_weights.group;
  if (const eval::YamlNode* observer = weights->find("observer"))
    words.clip = llm_compressor_clip(reader.text(*observer, "observer"), observer->line, reader);
  if (const eval::YamlNode* order = weights->find("actorder"))
    words.order = ActOrder{reader.text(*order, "actorder"), order->line};
  return words;
}

}  // namespace aquatint::quant
