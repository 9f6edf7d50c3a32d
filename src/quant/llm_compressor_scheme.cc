#include "quant/llm_compressor_scheme.h"

#include <algorithm>
#include <array>

#include "base/error.h"

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
  int group;
};

Granularity granularity_of(const YamlNode& args, int64_t group, const YamlReader& reader) {
  const YamlNode* node = args.find("strategy");
  if (!node) return group > 0 ? Granularity::group : group < 0 ? Granularity::channel : Granularity::tensor;
  constexpr std::array<std::pair<std::string_view, Granularity>, 5> kStrategies = {
      {{"tensor", Granularity::tensor},
       {"channel", Granularity::channel},
       {"group", Granularity::group},
       {"block", Granularity::block},
       {"token", Granularity::token}}};
  for (const auto& [name, granularity] : kStrategies)
    if (node->text == name) return granularity;
  reader.fail(node->line, fmt::format("strategy '{}' is not supported", node->text));
}

const numeric::Format* format_of(const YamlNode& args, const YamlReader& reader) {
  const YamlNode* bits_node = args.find("num_bits");
  const YamlNode* type_node = args.find("type");
  const int64_t bits = bits_node ? reader.integer(*bits_node, "num_bits", 1, 16) : 8;
  const std::string type = type_node ? reader.text(*type_node, "type") : "int";
  const numeric::Format* format = nullptr;
  if (type == "int") format = numeric::find_format(fmt::format("int{}", bits));
  if (type == "float" && bits == 8) format = &numeric::fp8_e4m3;
  if (type == "float" && bits == 4) format = numeric::find_format("fp4_e2m1");
  if (!format) reader.fail(args.line, fmt::format("{} of {} bits is not supported", type, bits));
  return format;
}

// Blocks are 128 × 128 and inputs beside them groups of 128: the only sizes that a preset has.
void check_blocks(const YamlNode& args, Granularity granularity, int64_t group, const YamlReader& reader) {
  constexpr std::string_view kSide = "128";
  const YamlNode* block = args.find("block_structure");
  if (granularity != Granularity::block) {
    if (block) reader.fail(block->line, "block_structure needs strategy: block");
    return;
  }
  const bool square =
      block && block->items.size() == 2 && block->items[0].text == kSide && block->items[1].text == kSide;
  if (!square || group > 0)
    reader.fail(args.line, "strategy block needs block_structure: [128, 128] and no group_size");
}

bool boolean_or(const YamlNode& args, std::string_view key, bool otherwise, const YamlReader& reader) {
  const YamlNode* node = args.find(key);
  return node ? reader.boolean(*node, key) : otherwise;
}

Arguments read_arguments(const YamlNode& args, std::string_view what, const YamlReader& reader) {
  reader.require_keys(reader.map(args, what), kArguments, what);
  const YamlNode* size = args.find("group_size");
  const int64_t group = size ? reader.integer(*size, "group_size", -1, 1 << 20) : 0;
  const Granularity granularity = granularity_of(args, group, reader);
  check_blocks(args, granularity, group, reader);
  return {format_of(args, reader), granularity, boolean_or(args, "symmetric", true, reader),
          boolean_or(args, "dynamic", false, reader), static_cast<int>(std::max<int64_t>(group, 0))};
}

bool is(const numeric::Scheme& preset, const Arguments& weights, const std::optional<Arguments>& input) {
  const numeric::WeightScheme& w = preset.weights;
  if (w.format != weights.format || w.granularity != weights.granularity ||
      w.symmetric != weights.symmetric || w.double_quantized)
    return false;
  if (!input) return preset.input.format == nullptr;
  return preset.input.format == input->format && preset.input.granularity == input->granularity &&
         preset.input.dynamic == input->dynamic && input->symmetric;
}

const numeric::Scheme* preset_like(const Arguments& weights, const std::optional<Arguments>& input) {
  for (const numeric::Scheme& preset : numeric::schemes())
    if (is(preset, weights, input)) return &preset;
  return nullptr;
}

void note_idle(const YamlNode& args, std::string_view what, std::initializer_list<std::string_view> keys,
               const YamlReader& reader, std::vector<std::string>& notes) {
  for (const std::string_view key : keys)
    if (const YamlNode* value = args.find(key); value && !value->says_nothing())
      notes.push_back(fmt::format("{}:{}: {}.{} has no effect here", reader.where(), value->line, what, key));
}

}  // namespace

const numeric::Scheme* llm_compressor_preset(const std::string& name, int line, const YamlReader& reader) {
  const bool is_int8 = name == "INT8" || name == "INT8_W8A8";
  if (const numeric::Scheme* scheme = numeric::find_scheme(is_int8 ? "W8A8" : name)) return scheme;
  std::vector<std::string_view> known;
  for (const numeric::Scheme& scheme : numeric::schemes()) known.push_back(scheme.name);
  reader.fail(line, fmt::format("scheme '{}' is not supported{}", name, suggestion(name, known)));
}

Clip llm_compressor_clip(const std::string& observer, int line, const YamlReader& reader) {
  if (observer == "mse" || observer == "memoryless_mse") return Clip::mse;
  constexpr std::array<std::string_view, 3> kWholeRange = {"minmax", "memoryless_minmax", "static_minmax"};
  if (std::find(kWholeRange.begin(), kWholeRange.end(), observer) != kWholeRange.end()) return Clip::none;
  reader.fail(line, fmt::format("observer '{}' is not supported; known: minmax, mse", observer));
}

SchemeWords llm_compressor_group(const YamlNode& group, const YamlReader& reader,
                                 std::vector<std::string>& notes) {
  constexpr std::array<std::string_view, 5> kKeys = {"targets", "weights", "input_activations",
                                                     "output_activations", "format"};
  reader.require_keys(group, kKeys, "a config group");
  const YamlNode* weights = group.find("weights");
  const YamlNode* input = group.find("input_activations");
  if (!weights) reader.fail(group.line, "a config group without weights quantizes nothing");
  if (const YamlNode* output = group.find("output_activations"))
    reader.fail(output->line, "quantized outputs are not supported");
  if (const YamlNode* format = group.find("format"))
    notes.push_back(fmt::format("{}:{}: format has no effect: the layout follows from the scheme",
                                reader.where(), format->line));
  const Arguments of_weights = read_arguments(*weights, "weights", reader);
  std::optional<Arguments> of_input;
  if (input) {
    of_input = read_arguments(*input, "input_activations", reader);
    note_idle(*input, "input_activations",
              {"observer", "observer_kwargs", "scale_dtype", "zp_dtype", "actorder"}, reader, notes);
  }
  note_idle(*weights, "weights", {"observer_kwargs", "scale_dtype", "zp_dtype"}, reader, notes);
  if (of_weights.dynamic) reader.fail(weights->line, "weights cannot be dynamic");
  SchemeWords words;
  words.scheme = preset_like(of_weights, of_input);
  if (!words.scheme)
    reader.fail(group.line,
                "no scheme here has these weights and inputs; aquatint formats lists those there are");
  if (words.scheme->weights.granularity == Granularity::group) words.group = of_weights.group;
  if (const YamlNode* observer = weights->find("observer"))
    words.clip = llm_compressor_clip(reader.text(*observer, "observer"), observer->line, reader);
  if (const YamlNode* order = weights->find("actorder"))
    words.order = ActOrder{reader.text(*order, "actorder"), order->line};
  return words;
}

}  // namespace aquatint::quant
