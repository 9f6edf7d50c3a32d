// --precision, where a model is run: what activations are rounded to.
#pragma once
#include <string>

#include "base/error.h"
#include "cli/command.h"

namespace aquatint::cli {

inline kernels::Precision parse_precision(const std::string& name) {
  if (name == "fp32") return kernels::Precision::fp32;
  if (name == "bf16") return kernels::Precision::bf16;
  if (name == "int8") return kernels::Precision::int8;
  throw base::BadUsage(fmt::format("--precision {} is unknown; expected fp32, bf16 or int8", name));
}

inline void add_precision(CLI::App& app, std::string& precision) {
  option(app, "--precision", precision, "of activations: fp32, bf16, or int8 (blocks of 64 over integer weights: faster, less exact)")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}));
}

}  // namespace aquatint::cli
