// --precision and --kv-format, where a model is run: what activations are rounded to, how keys and values are
// kept.
#pragma once
#include <optional>
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
  option(app, "--precision", precision,
         "of activations: fp32, bf16, or int8 (blocks of 64 over integer weights: faster, less exact)")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}));
}

// nullopt for "auto".
inline std::optional<kernels::KvFormat> parse_kv_format(const std::string& name) {
  if (name == "auto") return std::nullopt;
  if (const auto format = kernels::find_kv_format(name)) return format;
  throw base::BadUsage(
      fmt::format("--kv-format {} is unknown; expected auto, fp32, bf16, fp8_e4m3, int8 or int4", name));
}

inline void add_kv_format(CLI::App& app, std::string& format) {
  option(app, "--kv-format", format,
         "of the KV cache: fp32, bf16, fp8_e4m3, int8, int4; auto: as the model asks, or else as --precision")
      ->check(CLI::IsMember({"auto", "fp32", "bf16", "fp8_e4m3", "int8", "int4"}));
}

}  // namespace aquatint::cli
