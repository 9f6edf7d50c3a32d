#include "plan/shape.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "base/suggestion.h"
#include "plan/data.h"

namespace aquatint::plan {
namespace {

constexpr const char* kShapesFile = "shapes.json";

struct Known {
  std::string size;  // as people call it: "70B"
  Shape shape;
};

const std::vector<Known>& known_shapes() {
  static const std::vector<Known> all = [] {
    std::vector<Known> list;
    const base::Json table = base::parse_json(kShapesJson, kShapesFile);
    for (const base::Json& json : table.at("shapes")) {
      const std::string name = base::require_string(json, "name", kShapesFile);
      list.push_back({base::require_string(json, "size", kShapesFile),
                      shape_from_config(json.at("config"), fmt::format("{}: {}", kShapesFile, name))});
      list.back().shape.name = name;
    }
    return list;
  }();
  return all;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// "70B", "135M", "7e9"; 0 when it is no size.
double parse_size(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !(value > 0) || !std::isfinite(value)) return 0;
  const std::string unit = lower(end);
  if (unit == "b") return value * 1e9;
  if (unit == "m") return value * 1e6;
  return unit.empty() ? value : 0;
}

// The one that people call so; otherwise the nearest within a tenth.
const Shape* of_size(const std::string& text) {
  for (const Known& known : known_shapes())
    if (lower(known.size) == lower(text)) return &known.shape;
  const double size = parse_size(text);
  const Shape* nearest = nullptr;
  double distance = 0.1 * size;
  for (const Known& known : known_shapes())
    if (const double d = std::fabs(known.shape.parameters() - size); d <= distance) {
      distance = d;
      nearest = &known.shape;
    }
  return nearest;
}

double sum(const std::vector<Matrices>& matrices, double (*term)(const Matrices&)) {
  double total = 0;
  for (const Matrices& m : matrices) total += term(m);
  return total;
}

}  // namespace

double Shape::parameters() const {
  double total = vectors;
  for (const Matrices& m : matrices)
    if (!(tied_embeddings && m.part == Part::head)) total += m.weights();
  return total;
}

double Shape::active_parameters() const {
  return vectors + sum(matrices, [](const Matrices& m) { return m.passed_weights(); });
}

double Shape::quantized_weights() const {
  return sum(matrices, [](const Matrices& m) { return m.quantized() ? m.weights() : 0.0; });
}

double Shape::cache_elements() const {
  double total = 0;
  for (const CacheLayers& c : cache) total += static_cast<double>(c.layers * c.vectors * c.width);
  return total;
}

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const Known& known : known_shapes()) names.push_back(known.shape.name);
  return names;
}

Shape find_shape(std::string_view name) {
  for (const Known& known : known_shapes())
    if (lower(known.shape.name) == lower(name)) return known.shape;
  const std::string text(name);
  if (const Shape* shape = of_size(text)) return *shape;
  const std::vector<std::string> names = shape_names();
  const std::vector<std::string_view> views(names.begin(), names.end());
  if (parse_size(text) > 0)
    throw base::BadUsage(
        fmt::format("no known model has about {} parameters; known: {}; or give a folder with a "
                    "config.json",
                    text, fmt::join(names, ", ")));
  throw base::BadUsage(
      fmt::format("model {} is neither a size (70B) nor known by name{}; or give a folder with a "
                  "config.json",
                  text, base::suggestion(text, views)));
}

base::Json to_json(const Shape& s) {
  return {{"name", s.name},
          {"model_type", s.model_type},
          {"parameters", s.parameters()},
          {"active_parameters", s.active_parameters()},
          {"layers", s.layers},
          {"hidden_size", s.hidden},
          {"heads", s.heads},
          {"kv_heads", s.kv_heads},
          {"experts", s.experts},
          {"experts_per_token", s.experts_per_token},
          {"latent_attention", s.latent_attention()},
          {"cache_elements_per_token", s.cache_elements()},
          {"max_context", s.max_context}};
}

}  // namespace aquatint::plan
