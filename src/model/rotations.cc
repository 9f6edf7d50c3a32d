#include "model/rotations.h"

#include <algorithm>

#include "base/error.h"
#include "model/config.h"

namespace aquatint::model {
namespace {

constexpr int64_t kVersion = 1;
constexpr int64_t kLargestSeed = (int64_t{1} << 53) - 1;  // that every JSON reader holds exactly

int64_t hidden(const Config& c) { return c.hidden_size; }
int64_t head(const Config& c) { return c.head_dim; }
int64_t queries(const Config& c) { return c.q_width(); }
int64_t keys(const Config& c) { return c.kv_width(); }
int64_t mlp(const Config& c) { return c.intermediate_size; }

void check_keys(const base::Json& object, const std::string& where) {
  for (const auto& [key, value] : object.items()) {
    if (key == "version" || std::any_of(kRotationPlaces.begin(), kRotationPlaces.end(),
                                        [&key = key](const RotationPlace& p) { return p.name == key; }))
      continue;
    throw base::BadInput(
        fmt::format("{}: key \"{}\" is no place of a rotation that this version knows", where, key));
  }
}

}  // namespace

constinit const std::array<RotationPlace, 7> kRotationPlaces = {
    {{"residual", &Rotations::residual, hidden},
     {"query_key", &Rotations::query_key, head},
     {"attention_out_in", &Rotations::attention_out_in, queries},
     {"down_in", &Rotations::down_in, mlp},
     {"query_out", &Rotations::query_out, queries},
     {"key_value_out", &Rotations::key_value_out, keys},
     {"gate_up_out", &Rotations::gate_up_out, mlp}}};

bool Rotations::any() const {
  return std::any_of(kRotationPlaces.begin(), kRotationPlaces.end(),
                     [this](const RotationPlace& place) { return this->*place.rotation != nullptr; });
}

Rotations read_rotations(const base::Json& config, const std::string& file, const Config& widths) {
  Rotations found;
  const auto object = config.find(kRotationsKey);
  if (object == config.end()) return found;
  const std::string where = fmt::format("{}: {}", file, kRotationsKey);
  if (!object->is_object()) throw base::BadInput(where + " is not an object");
  base::require_int(*object, "version", where, kVersion, kVersion);
  check_keys(*object, where);
  for (const RotationPlace& place : kRotationPlaces) {
    const std::string name(place.name);
    if (!object->contains(name)) continue;
    const int64_t seed = base::require_int(*object, name.c_str(), where, 0, kLargestSeed);
    const int64_t width = place.width(widths);
    if (!tensor::Rotation::exists(width))
      throw base::BadInput(
          fmt::format("{}: {} asks for a rotation of width {}, for which there is none", where, name, width));
    found.*place.rotation = std::make_shared<const tensor::Rotation>(width, static_cast<uint64_t>(seed));
  }
  return found;
}

base::Json to_json(const Rotations& rotations) {
  base::Json object = {{"version", kVersion}};
  for (const RotationPlace& place : kRotationPlaces)
    if (const RotationPtr& rotation = rotations.*place.rotation) object[place.name] = rotation->seed();
  return object;
}

}  // namespace aquatint::model
