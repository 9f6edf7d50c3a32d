#include "numeric/scheme.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace aquatint::numeric {
namespace {

constexpr ActivationScheme k16bit{};
constexpr ActivationScheme kInt8Token{&int8, Granularity::token};
constexpr ActivationScheme kFp8Token{&fp8_e4m3, Granularity::token};

constexpr std::array kSchemes = {
    Scheme{"W8A16", {&int8, Granularity::channel, 0, true, &bf16}, k16bit, "int8 weights per channel"},
    Scheme{"W4A16", {&int4, Granularity::group, 128, true, &bf16}, k16bit, "int4 weights in groups"},
    Scheme{"W4A16_ASYM",
           {&int4, Granularity::group, 128, false, &bf16},
           k16bit,
           "int4 weights in groups with zero-points"},
    Scheme{"W8A8",
           {&int8, Granularity::channel, 0, true, &fp32},
           kInt8Token,
           "int8 weights and int8 activations per token"},
    Scheme{"FP8_DYNAMIC",
           {&fp8_e4m3, Granularity::channel, 0, true, &fp32},
           kFp8Token,
           "E4M3 weights per channel, E4M3 activations per token"},
    Scheme{"NF4",
           {&nf4, Granularity::flat, 64, true, &fp32, true},
           k16bit,
           "NF4 weights in blocks of 64, double quantization"},
    Scheme{"FP4",
           {&bnb_fp4, Granularity::flat, 64, true, &fp32, true},
           k16bit,
           "bitsandbytes' FP4 in blocks of 64, double quantization"},
};

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

}  // namespace

std::span<const Scheme> schemes() { return kSchemes; }

const Scheme* find_scheme(std::string_view name) {
  for (const Scheme& scheme : kSchemes)
    if (same_name(scheme.name, name)) return &scheme;
  return nullptr;
}

}  // namespace aquatint::numeric
