#include "base/error.h"
#include "base/machine.h"
#include "quant/pipeline.h"

namespace aquatint::quant {

base::Json to_json(const LayerReport& layer) {
  return {{"name", layer.name},
          {"scheme", layer.scheme},
          {"method", layer.method},
          {"rows", layer.rows},
          {"cols", layer.cols},
          {"bytes", layer.bytes},
          {"relative_error", layer.relative_error},
          {"error_basis", layer.error_basis},
          {"seconds", layer.seconds},
          {"calibration_tokens", layer.tokens},
          {"damping", layer.damping},
          {"condition", layer.condition},
          {"note", layer.note}};
}

LayerReport layer_from_json(const base::Json& json, const std::string& where) {
  if (!json.is_object())
    throw base::BadInput(fmt::format("{}: a layer is {}, expected an object", where, json.type_name()));
  LayerReport layer;
  layer.name = base::require_string(json, "name", where);
  layer.scheme = base::require_string(json, "scheme", where);
  layer.method = base::require_string(json, "method", where);
  layer.rows = base::require_int(json, "rows", where);
  layer.cols = base::require_int(json, "cols", where);
  layer.bytes = static_cast<uint64_t>(base::require_int(json, "bytes", where));
  layer.relative_error = base::require_number(json, "relative_error", where);
  layer.error_basis = base::require_string(json, "error_basis", where);
  layer.seconds = base::require_number(json, "seconds", where);
  layer.tokens = base::require_int(json, "calibration_tokens", where);
  layer.damping = base::require_number(json, "damping", where);
  layer.condition = base::require_number(json, "condition", where);
  layer.note = base::require_string(json, "note", where);
  return layer;
}

base::Json to_json(const Report& report) {
  base::Json layers = base::Json::array();
  for (const LayerReport& layer : report.layers) layers.push_back(to_json(layer));
  base::Json json = {{"scheme", report.scheme},
                     {"method", report.method},
                     {"layout", report.layout},
                     {"clip", report.clip},
                     {"kv_cache", report.kv_cache.empty() ? base::Json() : base::Json(report.kv_cache)},
                     {"group", report.group},
                     {"bytes", report.bytes},
                     {"parameters", report.parameters},
                     {"bits_per_weight", report.bits_per_weight},
                     {"bits_per_parameter", report.bits_per_parameter},
                     {"seconds", report.seconds},
                     {"peak_ram_bytes", base::peak_ram_bytes()},
                     {"layers", layers},
                     {"notes", report.notes}};
  if (report.prediction)
    json["prediction"] = {{"peak_ram_bytes", report.prediction->peak_ram_bytes},
                          {"disk_bytes", report.prediction->disk_bytes},
                          {"spilled", report.prediction->spilled},
                          {"seconds", report.prediction->seconds}};
  return json;
}

}  // namespace aquatint::quant
