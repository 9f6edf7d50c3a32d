// bitsandbytes' 8-bit weights, apart from its 4-bit ones: bitsandbytes_int8.cc.
#pragma once
#include "checkpoint/layouts/layout.h"

namespace aquatint::checkpoint {

// `threshold`: the configuration's llm_int8_threshold.
std::unique_ptr<LayoutReader> read_bnb_int8(float threshold, const SafetensorsSet& files, std::string where);
bool bnb_int8_can_say(const numeric::Scheme& scheme);
void write_bnb_int8(const std::string& module, const tensor::QuantizedMatrix& matrix, TensorSink& sink);

}  // namespace aquatint::checkpoint
