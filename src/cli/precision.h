// --precision, where a model is run: what activations are rounded to.
#pragma once
#include <string>

#include "base/error.h"
#include "cli/command.h"

namespace aquatint::cli {

inline kernels::Precision parse_precision(const std::string& name) {
  if (name == "fp32") return kernels::Precision::fp32;
  if (name == "bf16") return kernels::Precision::bf16;
  throw base::BadUsage(fmt::format("--precision {} is unknown; expected fp32 or bf16", name));
}

inline void add_precision(CLI::App& app, std::string& precision) {
  option(app, "--precision", precision, "of activations and the KV cache: bf16 or fp32")
      ->check(CLI::IsMember({"bf16", "fp32"}));
}

}  // namespace aquatint::cli
