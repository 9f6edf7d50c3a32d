#include "plan/efficiency.h"

#include <utility>

#include "base/error.h"
#include "plan/data.h"

namespace aquatint::plan {
namespace {

constexpr const char* kEfficienciesFile = "efficiencies.json";

using Member = double Efficiency::*;
constexpr std::pair<const char*, Member> kNumbers[] = {
    {"weight_bandwidth", &Efficiency::weight_bandwidth},
    {"cache_bandwidth", &Efficiency::cache_bandwidth},
    {"attention", &Efficiency::attention},
    {"dequantizing", &Efficiency::dequantizing},
    {"head", &Efficiency::head},
    {"link", &Efficiency::link},
    {"collective_seconds", &Efficiency::collective_seconds},
    {"step_seconds", &Efficiency::step_seconds},
    {"sequence_seconds", &Efficiency::sequence_seconds},
    {"reserve", &Efficiency::reserve},
    {"fixed_bytes", &Efficiency::fixed_bytes},
    {"step_tokens", &Efficiency::step_tokens},
    {"band", &Efficiency::band},
};

Efficiency read_efficiency(const base::Json& json) {
  Efficiency e;
  for (const auto& [key, member] : kNumbers) e.*member = base::require_number(json, key, kEfficienciesFile);
  for (const auto& [format, share] : json.at("matrix").items()) e.matrix[format] = share.get<double>();
  e.source = base::require_string(json, "source", kEfficienciesFile);
  return e;
}

}  // namespace

double Efficiency::of(std::string_view format) const {
  const auto found = matrix.find(format);
  AQ_CHECK(found != matrix.end(), "no efficiency for {}", format);
  return found->second;
}

const KernelSpeed* Efficiency::kernel(std::string_view shape, std::string_view of) const {
  const auto speeds = kernels.find(shape);
  if (speeds == kernels.end()) return nullptr;
  const auto found = speeds->second.find(of);
  return found == speeds->second.end() ? nullptr : &found->second;
}

Efficiency default_efficiency() {
  static const Efficiency read = read_efficiency(base::parse_json(kEfficienciesJson, kEfficienciesFile));
  return read;
}

base::Json to_json(const Efficiency& efficiency) {
  base::Json json = {{"matrix", efficiency.matrix}, {"source", efficiency.source}};
  for (const auto& [key, member] : kNumbers) json[key] = efficiency.*member;
  return json;
}

}  // namespace aquatint::plan
