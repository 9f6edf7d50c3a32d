// The only place that knows all methods.
#include <array>

#include "base/error.h"
#include "base/suggestion.h"
#include "quant/method.h"

namespace aquatint::quant {
namespace {
constexpr std::array kMethods = {&rtn,      &hqq, &gptq,        &signround, &autoround, &zeroquant, &w4a8_fp,
                                 &llm_int8, &awq, &smoothquant, &qep,       &quarot,    &quip,      &lorc};
}

std::span<const Method* const> methods() { return kMethods; }

base::Json default_settings(const Method& method) {
  base::Json settings = base::Json::object();
  for (const MethodSetting& setting : method.settings) {
    base::Json& value = settings[setting.name];
    switch (setting.type) {
      case MethodSetting::Type::boolean:
        value = setting.otherwise != 0;
        break;
      case MethodSetting::Type::integer:
        value = static_cast<int64_t>(setting.otherwise);
        break;
      case MethodSetting::Type::number:
        value = setting.otherwise;
        break;
      case MethodSetting::Type::word:
        value = setting.words[static_cast<size_t>(setting.otherwise)];
        break;
    }
  }
  return settings;
}

MethodStep make_step(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Method* method : kMethods) {
    if (method->name == name) return {method, default_settings(*method)};
    known.push_back(method->name);
  }
  throw base::BadUsage(fmt::format("method {} is unknown{}", name, base::suggestion(name, known)));
}

Clip default_clip(const numeric::WeightScheme& scheme) {
  return scheme.format->bits < 8 && scheme.format->kind != numeric::Kind::codebook ? Clip::mse : Clip::none;
}

Clip parse_clip(std::string_view name) {
  if (name == "none") return Clip::none;
  if (name == "mse") return Clip::mse;
  throw base::BadUsage(fmt::format("unknown clip '{}'; known: none, mse", name));
}

std::string_view clip_name(Clip clip) { return clip == Clip::mse ? "mse" : "none"; }

}  // namespace aquatint::quant
