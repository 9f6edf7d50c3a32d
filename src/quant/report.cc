#include "base/machine.h"
#include "quant/pipeline.h"

namespace aquatint::quant {

base::Json to_json(const Report& report) {
  base::Json layers = base::Json::array();
  for (const LayerReport& layer : report.layers)
    layers.push_back({{"name", layer.name},
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
                      {"condition", layer.condition}});
  return {{"scheme", report.scheme},
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
}

}  // namespace aquatint::quant
