// What reading and writing of the layout "aquatint" share. The layout itself: docs/layouts.md.
#pragma once
#include <array>
#include <string_view>

#include "checkpoint/layouts/layout.h"
#include "checkpoint/layouts/module_patterns.h"

namespace aquatint::checkpoint {

constexpr int kAquatintVersion = 1;

struct GranularityName {
  std::string_view name;
  numeric::Granularity granularity;
};
inline constexpr std::array kGranularityNames = {GranularityName{"tensor", numeric::Granularity::tensor},
                                          GranularityName{"channel", numeric::Granularity::channel},
                                          GranularityName{"token", numeric::Granularity::token},
                                          GranularityName{"group", numeric::Granularity::group},
                                          GranularityName{"block", numeric::Granularity::block},
                                          GranularityName{"flat", numeric::Granularity::flat}};

// Formats that scales may have, with their safetensors type. bitsandbytes' 8-bit scales (uint8) stand for
// entries of a table of their own.
struct ScaleDtype {
  const numeric::Format* format;
  std::string_view dtype;
};
constexpr std::array kScaleDtypes = {
    ScaleDtype{&numeric::fp32, "F32"}, ScaleDtype{&numeric::fp16, "F16"}, ScaleDtype{&numeric::bf16, "BF16"},
    ScaleDtype{&numeric::fp8_e4m3, "F8_E4M3"}, ScaleDtype{&numeric::e8m0, "U8"}};

// Of a factor of a low-rank part; empty for a format that none has.
inline std::string_view factor_dtype(const numeric::Format& format) {
  return &format == &numeric::int8 ? "I8" : &format == &numeric::bf16 ? "BF16" : "";
}

// aquatint_config.cc
struct AquatintConfig {
  struct Group {
    ModulePatterns targets;
    numeric::Scheme scheme;
  };
  ModulePatterns ignore;
  std::vector<Group> groups;
};
AquatintConfig parse_aquatint_config(const base::Json& quantization, const std::string& where);

// aquatint_write.cc
bool aquatint_can_say(const numeric::Scheme& scheme);
void aquatint_write(const WriteContext& context, const std::string& module,
                    const tensor::QuantizedMatrix& matrix, TensorSink& sink);
base::Json aquatint_quantization_config(const Contents& contents);

}  // namespace aquatint::checkpoint
