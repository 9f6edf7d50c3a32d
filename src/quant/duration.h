// How long a run of quantize() will take: small pieces of its work are timed on the spot and multiplied.
#pragma once
#include "quant/plan.h"

namespace aquatint::quant {

// Seconds, in about one of them. `backend`: what the run will have.
double predict_seconds(const Plan& plan, const QuantizeJob& job, const model::Backend& backend);

}  // namespace aquatint::quant
