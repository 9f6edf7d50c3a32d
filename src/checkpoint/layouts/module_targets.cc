#include "checkpoint/layouts/module_targets.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/error.h"

namespace aquatint::checkpoint {
namespace {

// "model.layers.3.mlp.up_proj" is layer 3 at {"model.layers", "mlp.up_proj"}; a name without a number has no
// layer.
struct Place {
  std::string before, after, layer;
  auto operator<=>(const Place& other) const {
    return std::tie(before, after) <=> std::tie(other.before, other.after);
  }
};

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return '0' <= c && c <= '9'; });
}

Place place_of(const std::string& module) {
  for (size_t begin = module.find('.'); begin != module.npos;) {
    const size_t end = module.find('.', begin + 1);
    if (end == module.npos) break;
    if (const std::string part = module.substr(begin + 1, end - begin - 1); is_number(part))
      return {module.substr(0, begin), module.substr(end + 1), part};
    begin = end;
  }
  return {module, "", ""};
}

std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') out += '\\';
    out += c;
  }
  return out;
}

std::set<Place> places_of_others(const Contents& contents, size_t index) {
  std::set<Place> places;
  for (size_t i = 0; i < contents.groups.size(); ++i)
    if (i != index)
      for (const std::string& module : contents.groups[i].modules) places.insert(place_of(module));
  for (const std::string& module : contents.unquantized) places.insert(place_of(module));
  return places;
}

}  // namespace

std::vector<std::string> module_targets(const Contents& contents, size_t index) {
  const std::vector<std::string>& modules = contents.groups[index].modules;
  std::vector<std::string> targets;
  if (contents.groups.size() == 1) {
    targets.emplace_back("Linear");
    std::copy_if(modules.begin(), modules.end(), std::back_inserter(targets), is_embedding);
    return targets;
  }
  std::map<Place, std::vector<std::string>> layers;
  for (const std::string& module : modules) {
    const Place place = place_of(module);
    layers[place].push_back(place.layer);
  }
  const std::set<Place> shared = places_of_others(contents, index);
  for (const auto& [place, own] : layers) {
    if (place.layer.empty())
      targets.push_back(place.before);
    else if (!shared.contains(place))
      targets.push_back(fmt::format("re:{}\\.\\d+\\.{}$", escaped(place.before), escaped(place.after)));
    else if (own.size() == 1)
      targets.push_back(fmt::format("{}.{}.{}", place.before, own.front(), place.after));
    else
      targets.push_back(fmt::format("re:{}\\.(?:{})\\.{}$", escaped(place.before), fmt::join(own, "|"),
                                    escaped(place.after)));
  }
  return targets;
}

}  // namespace aquatint::checkpoint
