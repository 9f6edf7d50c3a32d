#include "checkpoint/layouts/ct_config.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/error.h"
#include "checkpoint/layouts/layout.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
using numeric::ActivationScheme;
using numeric::Granularity;
namespace {

constexpr int64_t kMaxGroup = INT32_MAX;
// Formats of a group, with what those for FP4, FP6 and MX fix.
struct CtFormat {
  std::string_view name;
  const numeric::Format* element = nullptr;
  const numeric::Format* scale = nullptr;
};
constexpr std::array kFormats = {CtFormat{"dense"},
                                 CtFormat{"int-quantized"},
                                 CtFormat{"float-quantized"},
                                 CtFormat{"naive-quantized"},
                                 CtFormat{"pack-quantized"},
                                 CtFormat{"nvfp4-pack-quantized", &numeric::fp4_e2m1, &numeric::fp8_e4m3},
                                 CtFormat{"mxfp4-pack-quantized", &numeric::fp4_e2m1, &numeric::e8m0},
                                 CtFormat{"mxfp6-pack-quantized", &numeric::fp6_e2m3, &numeric::e8m0},
                                 CtFormat{"mxfp8-quantized", &numeric::fp8_e4m3, &numeric::e8m0}};

std::vector<std::string> string_list(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return {};
  const bool strings = found->is_array() &&
                       std::all_of(found->begin(), found->end(), [](const Json& s) { return s.is_string(); });
  if (!strings) throw BadInput(fmt::format("{}: key \"{}\" is not a list of strings", where, key));
  return found->get<std::vector<std::string>>();
}

// The strategy, or what compressed-tensors infers when it is absent.
std::string strategy_of(const Json& args, const std::string& where) {
  const std::string strategy = base::string_or(args, "strategy", "", where);
  if (!strategy.empty()) return strategy;
  const int64_t group = base::int_or(args, "group_size", 0, where, -1, kMaxGroup);
  return group > 0 ? "group" : group < 0 ? "channel" : "tensor";
}

bool is_dynamic(const Json& args, const std::string& where) {
  const auto found = args.find("dynamic");
  if (found != args.end() && found->is_string())
    throw BadInput(
        fmt::format("{}: \"dynamic\": {} is not supported, expected true or false", where, found->dump()));
  return base::bool_or(args, "dynamic", false, where);
}

// nullptr when compressed-tensors has no such number.
const numeric::Format* number_format(const Json& args, const std::string& where) {
  const std::string type = base::string_or(args, "type", "int", where);
  if (type != "int" && type != "float")
    throw BadInput(fmt::format("{}: \"type\" is \"{}\", expected int or float", where, type));
  const auto bits = base::int_or(args, "num_bits", 8, where, 1, 16);
  if (type == "int") return bits <= 8 ? numeric::find_format(fmt::format("int{}", bits)) : nullptr;
  return bits == 8   ? &numeric::fp8_e4m3
         : bits == 6 ? &numeric::fp6_e2m3
         : bits == 4 ? &numeric::fp4_e2m1
                     : nullptr;
}

void read_block(const Json& args, const std::string& where, CtWeights& weights) {
  const Json structure = args.value("block_structure", Json(nullptr));
  if (structure.is_array() && structure.size() == 2 && structure[0].is_number_unsigned() &&
      structure[1].is_number_unsigned()) {
    weights.block_rows = structure[0].get<int64_t>();
    weights.block_cols = structure[1].get<int64_t>();
  } else if (structure.is_string()) {  // "128x128", an older spelling
    long rows = 0, cols = 0;
    if (std::sscanf(structure.get<std::string>().c_str(), "%9ldx%9ld", &rows, &cols) == 2)
      weights.block_rows = rows, weights.block_cols = cols;
  }
  if (weights.block_rows < 1 || weights.block_cols < 1 || weights.block_rows > kMaxGroup ||
      weights.block_cols > kMaxGroup)
    throw BadInput(
        fmt::format("{}: \"block_structure\" is {}, expected [rows, columns]", where, structure.dump()));
}

Granularity weight_granularity(const std::string& strategy, const std::string& where) {
  if (strategy == "tensor") return Granularity::tensor;
  if (strategy == "channel") return Granularity::channel;
  if (strategy == "group" || strategy == "tensor_group") return Granularity::group;
  if (strategy == "block") return Granularity::block;
  throw BadInput(
      fmt::format("{}: weights of strategy \"{}\" are not supported, expected tensor, channel, group, "
                  "tensor_group or block",
                  where, strategy));
}

void check_weights(const CtWeights& weights, const CtFormat& format, const Json& args,
                   const std::string& strategy, const std::string& where) {
  const bool fixed = format.element
                         ? weights.format == format.element && weights.granularity == Granularity::group
                         : weights.format && (!weights.floating() || weights.format->bits == 8);
  if (!fixed)
    throw BadInput(fmt::format("{}: {} weights of {} bits, strategy {}, are not supported in format {}",
                               where, base::string_or(args, "type", "int", where),
                               args.value("num_bits", Json(8)).dump(), strategy, format.name));
  if ((strategy == "tensor_group") != (format.scale == &numeric::fp8_e4m3))
    throw BadInput(fmt::format("{}: strategy {} does not go with format {}", where, strategy, format.name));
  if (is_dynamic(args, where)) throw BadInput(fmt::format("{}: weights cannot be dynamic", where));
  if (base::string_or(args, "actorder", "static", where) == "group")
    throw BadInput(fmt::format(
        "{}: \"actorder\": \"group\" is not supported; compressed-tensors dropped it too", where));
}

CtWeights parse_weights(const Json& args, const CtFormat& format, const std::string& where) {
  const std::string strategy = strategy_of(args, where);
  CtWeights weights;
  weights.format = number_format(args, where);
  weights.symmetric = base::bool_or(args, "symmetric", true, where);
  weights.granularity = weight_granularity(strategy, where);
  weights.scale_format = format.scale;
  if (weights.granularity == Granularity::group)
    weights.group = static_cast<int>(base::require_int(args, "group_size", where, 1, kMaxGroup));
  if (weights.granularity == Granularity::block) read_block(args, where, weights);
  check_weights(weights, format, args, strategy, where);
  return weights;
}

// How many numbers share a scale, and which type it has; nullopt for what is not supported.
std::optional<ActivationScheme> input_scales(const Json& args, const std::string& where) {
  const std::string strategy = strategy_of(args, where);
  const std::string scale = base::string_or(args, "scale_dtype", "", where);
  const bool local = args.contains("dynamic") && args["dynamic"] == "local";
  ActivationScheme input;
  if (strategy == "token" || strategy == "tensor") {
    input.granularity = strategy == "token" ? Granularity::token : Granularity::tensor;
    input.dynamic = is_dynamic(args, where);
    return input.dynamic == (strategy == "token") ? std::optional(input) : std::nullopt;
  }
  if (strategy != (local ? "tensor_group" : "group") || (!local && !is_dynamic(args, where)))
    return std::nullopt;
  input.granularity = Granularity::group;
  input.group = static_cast<int>(base::require_int(args, "group_size", where, 1, kMaxGroup));
  if (local)
    input.scale_format = &numeric::fp8_e4m3;
  else if (scale == "torch.uint8")
    input.scale_format = &numeric::e8m0;
  return input;
}

ActivationScheme parse_input(const Json& args, const std::string& where) {
  const numeric::Format* format = number_format(args, where);
  std::optional<ActivationScheme> input = input_scales(args, where);
  const bool in_groups = input && input->group > 0;
  const bool known = format && input && base::bool_or(args, "symmetric", true, where) &&
                     (in_groups ? format->kind == numeric::Kind::floating
                                : format == &numeric::fp8_e4m3 || format->kind == numeric::Kind::integer);
  if (!known)
    throw BadInput(
        fmt::format("{}: inputs of {} are not supported, expected symmetric ones per token or float groups, "
                    "dynamic, or per tensor, static",
                    where, args.dump()));
  input->format = format;
  return *input;
}

const CtFormat& group_format(const std::string& name, const std::string& where) {
  std::vector<std::string_view> known;
  for (const CtFormat& format : kFormats) {
    if (format.name == name) return format;
    known.push_back(format.name);
  }
  throw BadInput(fmt::format("{}: format \"{}\" is not read, expected one of {}; use the 16-bit model", where,
                             name, fmt::join(known, ", ")));
}

CtGroup parse_group(const Json& json, const std::string& top_format, const std::string& where) {
  if (!json.is_object())
    throw BadInput(fmt::format("{}: expected an object, found {}", where, json.type_name()));
  const auto weights = json.find("weights"), input = json.find("input_activations"),
             output = json.find("output_activations");
  if (weights == json.end() || !weights->is_object())
    throw BadInput(fmt::format("{}: key \"weights\" is missing or no object", where));
  if (output != json.end() && !output->is_null())
    throw BadInput(fmt::format("{}: quantized outputs are not supported", where));
  const bool has_input = input != json.end() && !input->is_null();
  if (has_input && !input->is_object())
    throw BadInput(fmt::format("{}: key \"input_activations\" is no object", where));
  const std::string format = base::string_or(json, "format", top_format, where);
  return {ModulePatterns(string_list(json, "targets", where), where), format,
          parse_weights(*weights, group_format(format, where), where + ": weights"),
          has_input ? parse_input(*input, where + ": input_activations") : ActivationScheme{}};
}

// Versions 0.x before 0.18.
bool packs_padded(const std::string& version) {
  int major = 0, minor = 0;
  return std::sscanf(version.c_str(), "%4d.%4d", &major, &minor) == 2 && major == 0 && minor < 18;
}

}  // namespace

CtConfig::CtConfig(const Json& quantization, const std::string& where, std::vector<std::string>& warnings) {
  const std::string format = base::string_or(quantization, "format", "dense", where);
  const auto groups = quantization.find("config_groups");
  if (groups == quantization.end() || !groups->is_object())
    throw BadInput(
        fmt::format("{}: key \"quantization_config.config_groups\" is missing or no object", where));
  for (const auto& [name, group] : groups->items())
    groups_.push_back(parse_group(group, format, fmt::format("{}: config_groups.{}", where, name)));
  const auto sparsity = quantization.find("sparsity_config");
  if (sparsity != quantization.end() && sparsity->is_object() &&
      base::string_or(*sparsity, "format", "dense", where) != "dense")
    throw BadInput(fmt::format("{}: sparse weights are not read; use the dense model", where));
  ignore_.emplace(string_list(quantization, "ignore", where), where);
  padded_words_ = packs_padded(base::string_or(quantization, "version", "", where));
  if (const auto cache = quantization.find("kv_cache_scheme");
      cache != quantization.end() && !cache->is_null())
    warnings.push_back(
        fmt::format("{}: kv_cache_scheme is not applied; keys and values stay in 16 bit", where));
}

const CtGroup* CtConfig::group_of(std::string_view module) const {
  const std::string_view class_name = is_embedding(module) ? "Embedding" : "Linear";
  if (ignore_->match_name(module) || ignore_->match_class(class_name)) return nullptr;
  for (const CtGroup& group : groups_)
    if (group.targets.match_name(module)) return &group;
  for (const CtGroup& group : groups_)
    if (group.targets.match_class(class_name)) return &group;
  return nullptr;
}

}  // namespace aquatint::checkpoint
