// What quantize and convert print.
#pragma once
#include <string>

#include "numeric/format.h"
#include "quant/pipeline.h"

namespace aquatint::cli {

std::string report_text(const quant::Report& report);

// bf16, fp16 or fp32; null for "". BadUsage otherwise.
const numeric::Format* parse_dtype(const std::string& name);

}  // namespace aquatint::cli
