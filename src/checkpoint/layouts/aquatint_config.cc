// The quantization_config of the layout "aquatint".
#include <algorithm>

#include "base/error.h"
#include "checkpoint/layouts/aquatint.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
using numeric::Granularity;
namespace {

constexpr int64_t kMaxRank = 1 << 16;

const numeric::Format& format_in(const Json& json, const char* key, const std::string& where) {
  const std::string name = base::require_string(json, key, where);
  const numeric::Format* format = numeric::find_format(name);
  if (!format)
    throw BadInput(fmt::format("{}: {} \"{}\" is not known; see `aquatint formats`", where, key, name));
  return *format;
}

// 0 where it is absent.
float positive_in(const Json& json, const char* key, const std::string& where) {
  if (!json.contains(key)) return 0;
  const double number = base::require_number(json, key, where);
  if (!(number >= 1e-30 && number <= 1e30))
    throw BadInput(fmt::format("{}: {} is {}, expected a positive number", where, key, number));
  return static_cast<float>(number);
}

const numeric::Format& scale_in(const Json& json, const std::string& where) {
  const numeric::Format& format = format_in(json, "scale", where);
  for (const ScaleDtype& known : kScaleDtypes)
    if (known.format == &format) return format;
  throw BadInput(
      fmt::format("{}: scale \"{}\" is no type of scales, expected fp32, fp16, bf16, fp8_e4m3 or e8m0", where,
                  format.name));
}

Granularity granularity_in(const Json& json, const std::string& where) {
  const std::string name = base::require_string(json, "granularity", where);
  for (const GranularityName& known : kGranularityNames)
    if (known.name == name) return known.granularity;
  throw BadInput(fmt::format("{}: granularity \"{}\" is not known", where, name));
}

const Json& object_in(const Json& json, const char* key, const std::string& where) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end() || !found->is_object())
    throw BadInput(fmt::format("{}: key \"{}\" is missing or no object", where, key));
  return *found;
}

numeric::LowRankScheme parse_low_rank(const Json& json, const std::string& where) {
  numeric::LowRankScheme low_rank;
  low_rank.rank = static_cast<int>(base::require_int(json, "rank", where + ".low_rank", 1, kMaxRank));
  low_rank.format = &format_in(json, "format", where + ".low_rank");
  if (factor_dtype(*low_rank.format).empty())
    throw BadInput(fmt::format("{}.low_rank: format \"{}\" is no type of factors, expected int8 or bf16",
                               where, low_rank.format->name));
  return low_rank;
}

numeric::WeightScheme parse_weights(const Json& json, const std::string& where) {
  numeric::WeightScheme weights;
  weights.format = &format_in(json, "format", where);
  weights.granularity = granularity_in(json, where);
  if (weights.format->bits > 8 || weights.granularity == Granularity::token)
    throw BadInput(fmt::format("{}: {} weights with a scale per {} are not supported", where,
                               weights.format->name, base::require_string(json, "granularity", where)));
  const bool sized =
      weights.granularity != Granularity::tensor && weights.granularity != Granularity::channel;
  if (sized) weights.group = static_cast<int>(base::require_int(json, "group", where, 1, INT32_MAX));
  const std::string offset = base::string_or(json, "offset", "none", where);
  if (offset != "none" && offset != "zero_point" && offset != "minimum")
    throw BadInput(
        fmt::format("{}: offset \"{}\" is not known, expected none, zero_point or minimum", where, offset));
  weights.symmetric = offset == "none";
  weights.minima = offset == "minimum";
  if (json.contains("low_rank")) weights.low_rank = parse_low_rank(object_in(json, "low_rank", where), where);
  weights.constant_divisor = positive_in(json, "divisor", where);
  weights.double_quantized = base::require_string(json, "scale", where) == "double";
  if (!weights.double_quantized) weights.scale_format = &scale_in(json, where);
  return weights;
}

numeric::ActivationScheme parse_input(const Json& json, const std::string& where) {
  numeric::ActivationScheme input;
  input.format = &format_in(json, "format", where);
  input.granularity = granularity_in(json, where);
  input.dynamic = base::bool_or(json, "dynamic", true, where);
  if (input.granularity == Granularity::group)
    input.group = static_cast<int>(base::require_int(json, "group", where, 1, INT32_MAX));
  input.scale_format = &scale_in(json, where);
  input.outlier_threshold = positive_in(json, "outliers_from", where);
  return input;
}

std::vector<std::string> names_in(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  const bool strings = found != json.end() && found->is_array() &&
                       std::all_of(found->begin(), found->end(), [](const Json& s) { return s.is_string(); });
  if (!strings) throw BadInput(fmt::format("{}: key \"{}\" is missing or no list of strings", where, key));
  return found->get<std::vector<std::string>>();
}

AquatintConfig::Group parse_group(const Json& json, const std::string& where) {
  numeric::Scheme scheme;
  scheme.weights = parse_weights(object_in(json, "weights", where), where + ".weights");
  if (const auto input = json.find("input"); input != json.end() && !input->is_null())
    scheme.input = parse_input(object_in(json, "input", where), where + ".input");
  return {ModulePatterns(names_in(json, "targets", where), where), named(scheme)};
}

}  // namespace

AquatintConfig parse_aquatint_config(const Json& quantization, const std::string& where) {
  base::require_int(quantization, "version", where, kAquatintVersion, kAquatintVersion);
  AquatintConfig config{ModulePatterns(names_in(quantization, "ignore", where), where), {}};
  for (const auto& [name, group] : object_in(quantization, "config_groups", where).items())
    config.groups.push_back(parse_group(group, fmt::format("{}.config_groups.{}", where, name)));
  return config;
}

}  // namespace aquatint::checkpoint
