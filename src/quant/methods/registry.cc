// The only place that knows all methods.
#include <array>

#include "base/error.h"
#include "quant/method.h"

namespace aquatint::quant {
namespace {
constexpr std::array<const Method*, 1> kMethods = {&rtn};
}

std::span<const Method* const> methods() { return kMethods; }

const Method& find_method(std::string_view name) {
  std::string known;
  for (const Method* method : kMethods) {
    if (method->name == name) return *method;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", method->name);
  }
  throw base::BadUsage(fmt::format("unknown method '{}'; known: {}", name, known));
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
