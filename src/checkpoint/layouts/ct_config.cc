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
constexpr std::array<std::string_view, 5> kFormats = {"dense", "int-quantized", "float-quantized",
                                                      "naive-quantized", "pack-quantized"};

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

bool is_floating(const Json& args, const std::string& where) {
  const std::string type = base::string_or(args, "type", "int", where);
  if (type != "int" && type != "float")
    throw BadInput(fmt::format("{}: \"type\" is \"{}\", expected int or float", where, type));
  return type == "float";
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

CtWeights parse_weights(const Json& args, const std::string& where) {
  CtWeights weights;
  weights.bits = static_cast<int>(base::int_or(args, "num_bits", 8, where, 1, 16));
  weights.floating = is_floating(args, where);
  weights.symmetric = base::bool_or(args, "symmetric", true, where);
  const std::string strategy = strategy_of(args, where);
  if (strategy == "tensor")
    weights.granularity = Granularity::tensor;
  else if (strategy == "channel")
    weights.granularity = Granularity::channel;
  else if (strategy == "group")
    weights.granularity = Granularity::group;
  else if (strategy == "block")
    weights.granularity = Granularity::block;
  else
    throw BadInput(fmt::format(
        "{}: weights of strategy \"{}\" are not supported, expected tensor, channel, group or block", where,
        strategy));
  if (strategy == "group") weights.group = base::require_int(args, "group_size", where, 1, kMaxGroup);
  if (strategy == "block") read_block(args, where, weights);
  if (is_dynamic(args, where)) throw BadInput(fmt::format("{}: weights cannot be dynamic", where));
  const bool known = weights.floating
                         ? weights.bits == 8
                         : weights.bits <= 8 && numeric::find_format(fmt::format("int{}", weights.bits));
  if (!known)
    throw BadInput(fmt::format("{}: {} weights of {} bits are not supported", where,
                               weights.floating ? "float" : "int", weights.bits));
  if (base::string_or(args, "actorder", "static", where) == "group")
    throw BadInput(fmt::format(
        "{}: \"actorder\": \"group\" is not supported; compressed-tensors dropped it too", where));
  return weights;
}

ActivationScheme parse_input(const Json& args, const std::string& where) {
  ActivationScheme input;
  const auto bits = base::int_or(args, "num_bits", 8, where, 1, 16);
  const bool floating = is_floating(args, where);
  const std::string strategy = strategy_of(args, where);
  input.dynamic = is_dynamic(args, where);
  input.granularity = strategy == "token" ? Granularity::token : Granularity::tensor;
  input.format = floating ? (bits == 8 ? &numeric::fp8_e4m3 : nullptr)
                          : numeric::find_format(fmt::format("int{}", bits));
  const bool known = input.format && input.format->bits <= 8 &&
                     base::bool_or(args, "symmetric", true, where) &&
                     (input.dynamic ? strategy == "token" : strategy == "tensor");
  if (!known)
    throw BadInput(
        fmt::format("{}: inputs of {} are not supported, expected symmetric 8-bit ones per token, dynamic, "
                    "or per tensor, static",
                    where, args.dump()));
  return input;
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
  if (std::find(kFormats.begin(), kFormats.end(), format) == kFormats.end())
    throw BadInput(fmt::format("{}: format \"{}\" is not read, expected one of {}; use the 16-bit model",
                               where, format, fmt::join(kFormats, ", ")));
  return {ModulePatterns(string_list(json, "targets", where), where), format,
          parse_weights(*weights, where + ": weights"),
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
