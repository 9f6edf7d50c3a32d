#include "checkpoint/kv_cache.h"

#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/writer.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
using numeric::Format;
using numeric::KvScheme;
namespace {

constexpr const char* kOwnKey = "kv_cache";

KvScheme scheme_of(const Format& format, bool dynamic) {
  const KvScheme* preset = numeric::find_kv_scheme(format, dynamic);
  return preset ? *preset : KvScheme{{}, &format, dynamic, {}};
}

// The object at `key`; null when there is none, or it is null.
const Json* object_at(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return nullptr;
  if (!found->is_object())
    throw BadInput(fmt::format("{}: {} is {}, expected an object", where, key, found->type_name()));
  return &*found;
}

std::optional<KvScheme> read_own(const Json& json, const std::string& where) {
  const std::string name = base::require_string(json, "format", where);
  const bool dynamic = base::bool_or(json, "dynamic", true, where);
  for (const Format* format : {&numeric::fp8_e4m3, &numeric::int8, &numeric::int4})
    if (format->name == name && (dynamic || format->bits == 8)) return scheme_of(*format, dynamic);
  throw BadInput(fmt::format("{}: a cache in {} with {} scales is not known", where, name,
                             dynamic ? "dynamic" : "calibrated"));
}

std::optional<KvScheme> read_ct(const Json& args, const std::string& where) {
  const int64_t bits = base::require_int(args, "num_bits", where, 1, 64);
  const std::string type = base::string_or(args, "type", "int", where);
  const std::string strategy = base::string_or(args, "strategy", "tensor", where);
  const bool dynamic = args.contains("dynamic") && args["dynamic"].is_string()
                           ? true
                           : base::bool_or(args, "dynamic", false, where);
  const bool known = bits == 8 && (type == "float" || type == "int") &&
                     base::bool_or(args, "symmetric", true, where) && (dynamic || strategy == "tensor");
  if (known) return scheme_of(type == "float" ? numeric::fp8_e4m3 : numeric::int8, dynamic);
  base::warn("{}: keys and values of {} bits ({}, per {}) are not run; the cache stays as --kv-format says",
             where, bits, type, strategy);
  return std::nullopt;
}

float scale_at(const Checkpoint& model, const std::string& name) {
  if (!model.has_vector(name)) {
    base::warn("{}: tensor \"{}\" is missing; the cache's scale is 1", model.path().string(), name);
    return 1;
  }
  const float scale = model.vector(name, 1)[0];
  if (!(scale > 0 && std::isfinite(scale)))
    throw BadInput(
        fmt::format("{}: tensor \"{}\" holds {}, expected a positive number (is the file damaged?)",
                    model.path().string(), name, scale));
  return scale;
}

}  // namespace

std::optional<KvScheme> kv_scheme(const Checkpoint& model) {
  const std::string where = model.path().string() + ": config.json";
  if (const auto record = model.config().find(kProvenanceKey);
      record != model.config().end() && record->is_object())
    if (const Json* own = object_at(*record, kOwnKey, where))
      return read_own(*own, fmt::format("{}: {}.{}", where, kProvenanceKey, kOwnKey));
  const Json* quantization = object_at(model.config(), "quantization_config", where);
  if (!quantization) return std::nullopt;
  const Json* args = object_at(*quantization, "kv_cache_scheme", where);
  return args ? read_ct(*args, where + ": kv_cache_scheme") : std::nullopt;
}

KvScales kv_scales(const Checkpoint& model, int64_t layer) {
  return {scale_at(model, kv_scale_name(layer, 'k')), scale_at(model, kv_scale_name(layer, 'v'))};
}

std::string kv_scale_name(int64_t layer, char key_or_value) {
  return fmt::format("model.layers.{}.self_attn.{}_scale", layer, key_or_value);
}

bool is_kv_scale(std::string_view name) {
  return name.ends_with(".self_attn.k_scale") || name.ends_with(".self_attn.v_scale");
}

Json ct_kv_cache(const KvScheme* scheme) {
  if (!scheme || scheme->dynamic || scheme->format != &numeric::fp8_e4m3) return nullptr;
  return {
      {"num_bits", 8}, {"type", "float"}, {"symmetric", true}, {"strategy", "tensor"}, {"dynamic", false}};
}

Json own_kv_cache(const KvScheme& scheme) {
  return {{kOwnKey, {{"format", scheme.format->name}, {"dynamic", scheme.dynamic}}}};
}

}  // namespace aquatint::checkpoint
