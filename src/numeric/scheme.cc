#include "numeric/scheme.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "numeric/composed_scheme.h"

namespace aquatint::numeric {
namespace {

using enum Granularity;

constexpr ActivationScheme k16bit{};
constexpr ActivationScheme kInt8Token{&int8, token};
constexpr ActivationScheme kInt8Outliers{&int8, token, true, 0, 0, &fp32, 6};
constexpr ActivationScheme kInt4Token{&int4, token};
constexpr ActivationScheme kFp8Token{&fp8_e4m3, token};
constexpr ActivationScheme kFp8Tensor{&fp8_e4m3, tensor, false};
constexpr ActivationScheme kFp8Groups{&fp8_e4m3, group, true, 0, 128};
constexpr ActivationScheme kMxFp8{&fp8_e4m3, group, true, 0, 32, &e8m0};
constexpr ActivationScheme kMxFp4{&fp4_e2m1, group, true, 0, 32, &e8m0};
constexpr ActivationScheme kNvFp4{&fp4_e2m1, group, true, 0, 16, &fp8_e4m3};

constexpr std::array kSchemes = {
    Scheme{"W8A16", {&int8, channel, 0, true, &bf16}, k16bit, "int8 weights per channel"},
    Scheme{"W4A16", {&int4, group, 128, true, &bf16}, k16bit, "int4 weights in groups"},
    Scheme{
        "W4A16_ASYM", {&int4, group, 128, false, &bf16}, k16bit, "int4 weights in groups with zero-points"},
    Scheme{"W4A16_MIN",
           {&int4, group, 64, false, &bf16, false, true},
           k16bit,
           "int4 weights in groups with real minima"},
    Scheme{"W3A16", {&int3, group, 64, true, &bf16}, k16bit, "int3 weights in groups"},
    Scheme{"W2A16", {&int2, group, 32, true, &bf16}, k16bit, "int2 weights in groups"},
    Scheme{"W8A8", {&int8, channel}, kInt8Token, "int8 weights and int8 activations per token"},
    Scheme{"LLM_INT8",
           {.format = &int8, .granularity = channel, .constant_divisor = 127},
           kInt8Outliers,
           "int8 weights, int8 activations per token, outliers from 6 on in 16 bits"},
    Scheme{"W4A8", {&int4, group, 128, true, &bf16}, kInt8Token, "int4 weights in groups, int8 activations"},
    Scheme{"W4A4", {&int4, group, 128, true, &bf16}, kInt4Token, "int4 weights in groups, int4 activations"},
    Scheme{"W4AFP8", {&int4, group, 128, true, &bf16}, kFp8Token, "int4 weights in groups, E4M3 activations"},
    Scheme{"FP8", {&fp8_e4m3, tensor}, kFp8Tensor, "E4M3 weights and activations per tensor, calibrated"},
    Scheme{"FP8_DYNAMIC",
           {&fp8_e4m3, channel},
           kFp8Token,
           "E4M3 weights per channel, E4M3 activations per token"},
    Scheme{"FP8_BLOCK",
           {&fp8_e4m3, block, 128},
           kFp8Groups,
           "E4M3 weights in tiles, E4M3 activations in groups"},
    Scheme{"W4A8_FP",
           {&fp4_e2m1, group, 128, true, &bf16},
           kFp8Token,
           "E2M1 weights in groups, E4M3 activations"},
    Scheme{"NVFP4",
           {&fp4_e2m1, group, 16, true, &fp8_e4m3},
           kNvFp4,
           "E2M1 under E4M3 scales on both sides, calibrated"},
    Scheme{"NVFP4A16", {&fp4_e2m1, group, 16, true, &fp8_e4m3}, k16bit, "E2M1 weights under E4M3 scales"},
    Scheme{"MXFP4", {&fp4_e2m1, group, 32, true, &e8m0}, kMxFp4, "E2M1 under powers of two on both sides"},
    Scheme{"MXFP4A16", {&fp4_e2m1, group, 32, true, &e8m0}, k16bit, "E2M1 weights under powers of two"},
    Scheme{"MXFP6A16", {&fp6_e2m3, group, 32, true, &e8m0}, k16bit, "E2M3 weights under powers of two"},
    Scheme{"MXFP8", {&fp8_e4m3, group, 32, true, &e8m0}, kMxFp8, "E4M3 under powers of two on both sides"},
    Scheme{"FP6", {&fp6_e2m3, group, 64, true, &bf16}, k16bit, "E2M3 weights in groups"},
    Scheme{"NF4",
           {&nf4, flat, 64, true, &fp32, true},
           k16bit,
           "NF4 weights in blocks of 64, double quantization"},
    Scheme{"FP4",
           {&bnb_fp4, flat, 64, true, &fp32, true},
           k16bit,
           "bitsandbytes' FP4 in blocks of 64, double quantization"},
};

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

bool same_scales(const Format& a, const Format& b) { return &a == &b || (a.bits >= 16 && b.bits >= 16); }

}  // namespace

Scheme with_group(Scheme scheme, int group) {
  if (scheme.input.group == scheme.weights.group) scheme.input.group = group;
  scheme.weights.group = group;
  return scheme;
}

bool same_form(const Scheme& a, const Scheme& b) {
  ActivationScheme input = b.input;
  input.static_scale = a.input.static_scale;
  return a.weights == b.weights && a.input == input;
}

std::span<const Scheme> schemes() { return kSchemes; }

const Scheme* find_scheme(std::string_view name) {
  for (const Scheme& scheme : kSchemes)
    if (same_name(scheme.name, name)) return &scheme;
  return composed_scheme(name);
}

const Scheme* preset_of(const Scheme& scheme) {
  for (const Scheme& preset : kSchemes) {
    Scheme like = with_group(scheme, preset.weights.group);
    if (same_scales(*scheme.weights.scale_format, *preset.weights.scale_format))
      like.weights.scale_format = preset.weights.scale_format;
    like.weights.low_rank = {};
    if (scheme.input.outlier_threshold > 0 && preset.input.outlier_threshold > 0)
      like.input.outlier_threshold = preset.input.outlier_threshold;
    if (same_form(like, preset)) return &preset;
  }
  return nullptr;
}

}  // namespace aquatint::numeric
