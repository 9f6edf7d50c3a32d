#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace aquatint::model {
namespace {

using base::Json;

// The rope keys of one config, whichever of the two forms it has them in.
struct Parameters {
  Json values;        // an object, perhaps empty
  std::string where;  // names the object in errors
  std::string type;
  double theta;

  double positive(const char* key) const {
    const double value = base::require_number(values, key, where);
    if (!(value > 0) || !std::isfinite(value))
      throw base::BadInput(
          fmt::format("{}: key \"{}\" is {}, expected a positive number", where, key, value));
    return value;
  }
  double positive_or(const char* key, double otherwise) const {
    const auto it = values.find(key);
    return it == values.end() || it->is_null() ? otherwise : positive(key);
  }
};

const Json* object_at(const Json& config, const char* key, const std::string& where) {
  const auto it = config.find(key);
  if (it == config.end() || it->is_null()) return nullptr;
  if (!it->is_object())
    throw base::BadInput(
        fmt::format("{}: key \"{}\" is {}, expected an object", where, key, it->type_name()));
  return &*it;
}

Parameters read_parameters(const Json& config, const std::string& where) {
  constexpr double kThetaWhenAbsent = 10000;
  const char* key = "rope_scaling";
  const Json* found = object_at(config, key, where);
  if (!found) found = object_at(config, key = "rope_parameters", where);
  Parameters p{found ? *found : Json::object(), found ? where + ": " + key : where, "", 0};
  p.type =
      base::string_or(p.values, "rope_type", base::string_or(p.values, "type", "default", p.where), p.where);
  p.theta = base::number_or(config, "rope_theta", kThetaWhenAbsent, where);
  p.theta = base::number_or(p.values, "rope_theta", p.theta, p.where);
  if (!(p.theta > 1) || !std::isfinite(p.theta))
    throw base::BadInput(
        fmt::format("{}: key \"rope_theta\" is {}, expected a number above 1", p.where, p.theta));
  const double rotated =
      p.positive_or("partial_rotary_factor", base::number_or(config, "partial_rotary_factor", 1, where));
  if (rotated != 1)
    throw base::BadInput(
        fmt::format("{}: key \"partial_rotary_factor\" is {}, only 1 (every dimension rotates) is supported",
                    where, rotated));
  return p;
}

// Everything below rounds to FP32 where the models' own code does: angles grow with the position, and so does
// any difference.
std::vector<float> wavelengths_over_2pi(double theta, int64_t head_dim) {
  std::vector<float> powers(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < powers.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    powers[i] = static_cast<float>(std::pow(static_cast<double>(static_cast<float>(theta)), exponent));
  }
  return powers;
}

// Llama 3.1: long waves are stretched by `factor`, short ones kept, those between blended.
void scale_llama3(const Parameters& p, int64_t max_positions, std::vector<float>& inv_freq) {
  const float factor = static_cast<float>(p.positive("factor"));
  const double low = p.positive("low_freq_factor"), high = p.positive("high_freq_factor");
  const double original =
      p.positive_or("original_max_position_embeddings", static_cast<double>(max_positions));
  if (!(high > low))
    throw base::BadInput(fmt::format(
        "{}: key \"high_freq_factor\" is {}, expected more than low_freq_factor = {}", p.where, high, low));
  const float longest_kept = static_cast<float>(original / high);
  const float shortest_scaled = static_cast<float>(original / low);
  for (float& f : inv_freq) {
    const float wavelength = static_cast<float>(2 * std::numbers::pi) / f;
    if (wavelength > shortest_scaled) {
      f /= factor;
    } else if (wavelength >= longest_kept) {
      const float smooth = (static_cast<float>(original) / wavelength - static_cast<float>(low)) /
                           static_cast<float>(high - low);
      f = (1 - smooth) * f / factor + smooth * f;
    }
  }
}

double yarn_attention_factor(const Parameters& p, double factor) {
  const auto scale = [factor](double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
  };
  const double mscale = base::number_or(p.values, "mscale", 0, p.where);
  const double mscale_all = base::number_or(p.values, "mscale_all_dim", 0, p.where);
  const double otherwise = mscale != 0 && mscale_all != 0 ? scale(mscale) / scale(mscale_all) : scale(1);
  return p.positive_or("attention_factor", otherwise);
}

// YaRN, Peng et al., arXiv 2309.00071: dimensions that turn often keep their frequency, slow ones are
// interpolated, with a linear ramp between.
void scale_yarn(const Parameters& p, int64_t max_positions, Rope& rope) {
  const double original =
      p.positive_or("original_max_position_embeddings", static_cast<double>(max_positions));
  const double factor = p.positive_or("factor", static_cast<double>(max_positions) / original);
  const double dim = static_cast<double>(2 * rope.inv_freq.size());
  const auto dimension_turning = [&](double turns) {
    return dim * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(p.theta));
  };
  double low = dimension_turning(p.positive_or("beta_fast", 32));
  double high = dimension_turning(p.positive_or("beta_slow", 1));
  if (base::bool_or(p.values, "truncate", true, p.where)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const float span = static_cast<float>(high - low);
  for (size_t i = 0; i < rope.inv_freq.size(); ++i) {
    const float ramp = std::clamp((static_cast<float>(i) - static_cast<float>(low)) / span, 0.0f, 1.0f);
    const float kept = rope.inv_freq[i], interpolated = kept / static_cast<float>(factor);
    rope.inv_freq[i] = interpolated * ramp + kept * (1 - ramp);
  }
  rope.attention_factor = static_cast<float>(yarn_attention_factor(p, factor));
}

// Factors that are numbers in FP64 can still leave FP32.
void check_finite(const Parameters& p, const Rope& rope) {
  for (float f : rope.inv_freq)
    if (!std::isfinite(f))
      throw base::BadInput(
          fmt::format("{}: the numbers of rope type \"{}\" give a frequency of {}", p.where, p.type, f));
  if (!std::isfinite(rope.attention_factor))
    throw base::BadInput(fmt::format("{}: key \"attention_factor\" is out of range", p.where));
}

}  // namespace

Rope read_rope(const Json& config, const std::string& where, int64_t head_dim, int64_t max_positions) {
  const Parameters p = read_parameters(config, where);
  Rope rope;
  for (float power : wavelengths_over_2pi(p.theta, head_dim)) rope.inv_freq.push_back(1.0f / power);
  if (p.type == "linear") {
    const float factor = static_cast<float>(p.positive("factor"));
    for (float& f : rope.inv_freq) f /= factor;
  } else if (p.type == "llama3") {
    scale_llama3(p, max_positions, rope.inv_freq);
  } else if (p.type == "yarn") {
    scale_yarn(p, max_positions, rope);
  } else if (p.type != "default") {
    throw base::BadInput(fmt::format(
        "{}: rope type \"{}\" is not supported, expected default, linear, llama3 or yarn", p.where, p.type));
  }
  check_finite(p, rope);
  return rope;
}

}  // namespace aquatint::model
