// What reading and writing of compressed-tensors share.
#pragma once
#include "checkpoint/layouts/layout.h"

namespace aquatint::checkpoint {

// ct_write.cc
bool ct_can_say(const numeric::Scheme& scheme);
void ct_write(const WriteContext& context, const std::string& module, const tensor::QuantizedMatrix& matrix,
              TensorSink& sink);
base::Json ct_quantization_config(const Contents& contents);

}  // namespace aquatint::checkpoint
