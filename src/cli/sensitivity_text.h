// What `sensitivity` found, as text with a heat map and as JSON.
#pragma once
#include <string>

#include "base/json.h"
#include "quant/mixture.h"

namespace aquatint::cli {

// The linears as a map of layers by part, shaded by the logarithm of their divergence; by place in the
// network, the most fragile matrices, embedding and head, and how well the cheap proxy ranks them.
std::string sensitivity_text(const quant::Sensitivity& found);

// `kld`: measured with the whole mixture; `file`: where its recipe went, or "".
std::string mixture_text(const quant::Mixture& mixture, double kld, const std::string& file);

// `mixture`: null without a budget.
base::Json sensitivity_json(const quant::Sensitivity& found, const quant::Mixture* mixture, double kld);

}  // namespace aquatint::cli
