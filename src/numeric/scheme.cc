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

bool same_scales(const Format& a, const Format& b) { return &a == &b || (a.bits >= 16 && b.bits >= 16); }

}  // namespace

bool same_form(const Scheme& a, const Scheme& b) {
  ActivationScheme input = b.input;
  input.static_scale = a.input.static_scale;
  return a.weights == b.weights && a.input == input;
}

std::span<const Scheme> schemes() { return kSchemes; }

const Scheme* find_scheme(std::string_view name) {
  for (const Scheme& scheme : kSchemes)
    if (same_name(scheme.name, name)) return &scheme;
  return nullptr;
}

const Scheme* preset_of(const Scheme& scheme) {
  for (const Scheme& preset : kSchemes) {
    Scheme like = scheme;
    like.weights.group = preset.weights.group;
    if (same_scales(*scheme.weights.scale_format, *preset.weights.scale_format))
      like.weights.scale_format = preset.weights.scale_format;
    if (same_form(like, preset)) return &preset;
  }
  return nullptr;
}

}  // namespace aquatint::numeric
