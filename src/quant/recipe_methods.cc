#include "quant/recipe_methods.h"

#include <array>

#include "base/error.h"
#include "quant/yaml_tree.h"

namespace aquatint::quant {
namespace {

using Type = MethodSetting::Type;

constexpr std::array kGptq = {
    MethodSetting{"damp", Type::number, 0.01, 1e-8, 1, "share of the Hessian's mean diagonal added to it"},
    MethodSetting{"block", Type::integer, 128, 1, 4096, "columns between updates of the rest"},
    MethodSetting{"act_order", Type::boolean, 0, 0, 1, "columns of large inputs first, groups as they are"},
};
constexpr std::array kAwq = {
    MethodSetting{"grid", Type::integer, 20, 1, 1000, "exponents tried from 0 to 1"},
};
constexpr std::array kSmoothquant = {
    MethodSetting{"alpha", Type::number, 0.5, 0, 1, "share of the inputs' range that the weights take over"},
};

constexpr std::array kSpecs = {
    MethodSpec{"smoothquant", false, kSmoothquant},
    MethodSpec{"awq", false, kAwq},
    MethodSpec{"rtn", true, {}},
    MethodSpec{"gptq", true, kGptq},
};

base::Json default_of(const MethodSetting& setting) {
  switch (setting.type) {
    case Type::boolean:
      return setting.otherwise != 0;
    case Type::integer:
      return static_cast<int64_t>(setting.otherwise);
    case Type::number:
      return setting.otherwise;
  }
  return nullptr;
}

}  // namespace

std::span<const MethodSpec> method_specs() { return kSpecs; }

const MethodSpec* find_method_spec(std::string_view name) {
  for (const MethodSpec& spec : kSpecs)
    if (spec.name == name) return &spec;
  return nullptr;
}

MethodStep make_step(std::string_view name) {
  const MethodSpec* spec = find_method_spec(name);
  if (!spec) {
    std::array<std::string_view, kSpecs.size()> known;
    for (size_t i = 0; i < known.size(); ++i) known[i] = kSpecs[i].name;
    throw base::BadUsage(fmt::format("method {} is unknown{}", name, suggestion(name, known)));
  }
  MethodStep step{std::string(name), base::Json::object()};
  for (const MethodSetting& setting : spec->settings) step.settings[setting.name] = default_of(setting);
  return step;
}

}  // namespace aquatint::quant
