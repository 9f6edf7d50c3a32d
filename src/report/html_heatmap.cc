// Relative error of every quantized linear: one small table a scheme, layers across, kinds of linear down.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "report/html_parts.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

constexpr int kShades = 20;  // classes h0 … h19 of the style sheet

struct Place {
  std::string kind;  // "mlp.down_proj"; numbers after the layer's (experts) become "*"
  int layer = -1;    // -1: outside the blocks
};

Place place_of(const std::string& name) {
  Place place;
  std::string part;
  for (size_t i = 0; i <= name.size(); ++i) {
    if (i < name.size() && name[i] != '.') {
      part += name[i];
      continue;
    }
    const bool number =
        !part.empty() && part.size() < 7 &&
        std::all_of(part.begin(), part.end(), [](unsigned char c) { return std::isdigit(c); });
    if (number && place.layer < 0) {
      place.layer = std::stoi(part);
      place.kind.clear();  // "model.layers." goes with the number
    } else {
      place.kind += (place.kind.empty() ? "" : ".") + (number ? "*" : part);
    }
    part.clear();
  }
  return place;
}

struct Mean {
  double sum = 0;
  int n = 0;
  double value() const { return sum / n; }
};

struct HeatMap {
  std::vector<std::string> kinds;  // in order of appearance
  std::set<int> layers;
  std::map<std::pair<std::string, int>, Mean> errors;
};

HeatMap heat_map(const StudyRow& row) {
  HeatMap map;
  for (const LayerError& layer : row.layers) {
    if (!std::isfinite(layer.relative_error) || layer.relative_error < 0) continue;
    const Place place = place_of(layer.name);
    if (std::find(map.kinds.begin(), map.kinds.end(), place.kind) == map.kinds.end())
      map.kinds.push_back(place.kind);
    map.layers.insert(place.layer);
    Mean& mean = map.errors[{place.kind, place.layer}];
    mean.sum += layer.relative_error;
    ++mean.n;
  }
  return map;
}

// Logarithmic shades over the range of all schemes, so that maps compare with each other.
struct Scale {
  double low = INFINITY, high = 0;
  void take(double value) {
    if (value <= 0) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  int shade(double value) const {
    if (value <= low || high <= low) return 0;
    const double place = std::log(value / low) / std::log(high / low);
    return std::min(kShades - 1, static_cast<int>(place * kShades));
  }
};

std::string render(const StudyRow& row, const HeatMap& map, const Scale& scale) {
  std::string out = fmt::format(
      "<div class=\"scroll\" tabindex=\"0\"><table class=\"heat\"><caption><span><b>{}</b> "
      "{}</span></caption>\n",
      escape_html(row_name(row)),
      escape_html(row.layers.front().basis == "identity"
                      ? "weights alone"
                      : "weighted by " + row.layers.front().basis + " inputs"));
  out += "<thead><tr><th scope=\"col\">Layer</th>";
  for (const int layer : map.layers)
    out += layer < 0 ? "<th scope=\"col\">–</th>" : fmt::format("<th scope=\"col\">{}</th>", layer);
  out += "</tr></thead>\n<tbody>\n";
  for (const std::string& kind : map.kinds) {
    out += fmt::format("<tr><th scope=\"row\">{}</th>", escape_html(kind));
    for (const int layer : map.layers) {
      const auto found = map.errors.find({kind, layer});
      if (found == map.errors.end()) {
        out += "<td></td>";
        continue;
      }
      const double error = found->second.value();
      const std::string text = format_significant(error * 100, 2) + "%";
      out += fmt::format("<td class=\"h{}\" title=\"{} {}: {}\"><i>{}</i></td>", scale.shade(error), layer,
                         escape_html(kind), text, text);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string legend(const Scale& scale) {
  std::string out =
      fmt::format("<p class=\"legend\" aria-hidden=\"true\">{} %", format_significant(scale.low * 100, 2));
  for (int i = 0; i < kShades; ++i) out += fmt::format("<span class=\"h{}\"></span>", i);
  return out + fmt::format("{} %</p>\n", format_significant(scale.high * 100, 2));
}

}  // namespace

std::string heat_maps(const Study& study) {
  std::vector<std::pair<const StudyRow*, HeatMap>> maps;
  Scale scale;
  for (const StudyRow& row : study.rows) {
    HeatMap map = heat_map(row);
    if (map.errors.empty()) continue;
    for (const auto& [place, mean] : map.errors) scale.take(mean.value());
    maps.emplace_back(&row, std::move(map));
  }
  if (maps.empty()) return "";
  std::string out = legend(scale) + "<div class=\"heats\">\n";
  for (const auto& [row, map] : maps) out += render(*row, map, scale);
  return out + "</div>\n";
}

}  // namespace aquatint::report
