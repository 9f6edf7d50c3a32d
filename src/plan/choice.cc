#include "plan/choice.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/suggestion.h"
#include "plan/names.h"

namespace aquatint::plan {
namespace {

const numeric::Format* plain_format(std::string_view name) {
  for (const numeric::Format* format : {&numeric::bf16, &numeric::fp16, &numeric::fp32})
    if (upper(format->name) == name) return format;
  return nullptr;
}

std::vector<std::string_view> known_schemes() {
  std::vector<std::string_view> names = {"BF16", "FP16", "FP32"};
  for (const numeric::Scheme& scheme : numeric::schemes()) names.push_back(scheme.name);
  return names;
}

const numeric::KvScheme* cache_of(std::string_view word, std::string_view whole) {
  if (word.empty()) return nullptr;
  if (const numeric::KvScheme* found = numeric::find_kv_scheme(word)) return found;
  std::vector<std::string_view> names;
  for (const numeric::KvScheme& scheme : numeric::kv_schemes()) names.push_back(scheme.name);
  throw base::BadUsage(
      fmt::format("cache scheme {} of {} is unknown{}", word, whole, base::suggestion(upper(word), names)));
}

}  // namespace

Choice find_choice(std::string_view name) {
  const numeric::SchemeWords words = numeric::split_scheme(name);
  Choice choice{.name = "", .scheme = nullptr, .plain = &numeric::bf16, .cache = cache_of(words.kv, name)};
  if (const numeric::Format* plain = plain_format(upper(words.scheme))) {
    choice.plain = plain;
    choice.name = upper(words.scheme);
  } else if (const numeric::Scheme* scheme = numeric::find_scheme(words.scheme)) {
    choice.scheme = scheme;
    choice.name = scheme->name;
  } else {
    const std::vector<std::string_view> names = known_schemes();
    throw base::BadUsage(
        fmt::format("scheme {} is unknown{}", words.scheme, base::suggestion(upper(words.scheme), names)));
  }
  if (choice.cache) choice.name += fmt::format("+{}", choice.cache->name);
  return choice;
}

std::vector<Choice> default_choices() {
  constexpr std::array kNames = {"BF16",  "W8A8",  "W8A8+KV8",  "FP8_DYNAMIC", "FP8_DYNAMIC+KVFP8",
                                 "W8A16", "W4A16", "W4A16+KV8", "W4A8",        "W4AFP8",
                                 "NVFP4", "NF4"};
  std::vector<Choice> choices;
  for (const char* name : kNames) choices.push_back(find_choice(name));
  return choices;
}

namespace {

struct Wanted {
  std::string_view format;   // that both operands would have
  bool dequantized = false;  // weights are narrower than it
};

// The format in which weights and inputs of a scheme meet if the hardware has everything.
Wanted wanted_format(const numeric::Scheme& scheme) {
  const numeric::Format* weights = scheme.weights.format;
  const numeric::Format* input = scheme.input.format;
  if (!input) return {"bf16", true};
  return {input->name, weights->bits < input->bits};
}

// What a unit that lacks `format` is replaced by, nearest first.
std::span<const std::string_view> wider_formats(std::string_view format) {
  static constexpr std::string_view kInt4[] = {"int8", "bf16", "fp32"}, kInt8[] = {"bf16", "fp32"},
                                    kFp4[] = {"bf16", "fp32"}, kFp8[] = {"bf16", "fp32"}, kRest[] = {"fp32"};
  if (format == "int4") return kInt4;
  if (format == "int8") return kInt8;
  if (format == "fp4_e2m1") return kFp4;
  return format == "fp8_e4m3" ? std::span<const std::string_view>(kFp8) : kRest;
}

}  // namespace

Execution execution(const Choice& choice, const Device& device) {
  const Wanted wanted = choice.scheme ? wanted_format(*choice.scheme) : Wanted{choice.plain->name, false};
  Execution e{.format = std::string(wanted.format),
              .rate = device.rate(wanted.format),
              .native = true,
              .dequantized = wanted.dequantized,
              .note = ""};
  if (e.rate > 0) return e;
  for (const std::string_view wider : wider_formats(wanted.format)) {
    if (device.rate(wider) <= 0) continue;
    e.format = wider;
    e.rate = device.rate(wider);
    break;
  }
  e.native = false;
  e.dequantized = choice.quantized();
  e.note = fmt::format(
      "{} has no {} units: products run in {}, at its rate; what is saved is memory and bandwidth",
      device.name, wanted.format, e.format);
  return e;
}

}  // namespace aquatint::plan
