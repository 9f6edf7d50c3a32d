// The settings that a recipe may give each method, with their defaults.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"

namespace aquatint::quant {

struct MethodSetting {
  enum class Type { boolean, integer, number };

  std::string_view name;
  Type type;
  double otherwise, min, max;
  std::string_view note;
};

struct MethodSpec {
  std::string_view name;
  bool finds_codes;  // otherwise it changes weights first and another method finds the codes
  std::span<const MethodSetting> settings;
};

std::span<const MethodSpec> method_specs();
const MethodSpec* find_method_spec(std::string_view name);  // nullptr when unknown

// One method of a recipe: every setting of its spec has a value.
struct MethodStep {
  std::string name;
  base::Json settings = base::Json::object();
};

// With default settings. BadUsage for an unknown name, with the nearest known one.
MethodStep make_step(std::string_view name);

}  // namespace aquatint::quant
