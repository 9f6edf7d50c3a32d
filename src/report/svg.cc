#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "report/table.h"

namespace aquatint::report::svg {
namespace {

constexpr double kWidth = 720, kHeight = 230, kLeft = 46, kRight = 110, kTop = 10, kBottom = 34;

std::string figure(const std::string& drawing, const std::string& caption, double height = kHeight) {
  return fmt::format(
      "<figure class=\"drawn\"><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"chart; its figures are "
      "in the caption or the table above\">\n{}</svg>"
      "<figcaption>{}</figcaption></figure>\n",
      kWidth, height, drawing, caption);
}

std::string text(double x, double y, const char* anchor, const std::string& words,
                 const char* style = "soft") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", x, y,
                     anchor, style, words);
}

std::string rule(double x1, double y1, double x2, double y2, const char* style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1,
                     x2, y2, style);
}

std::string box(double x, double y, double width, double height, const char* style) {
  return fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"{}\"/>\n", x,
                     y, width, height, style);
}

// Names at the right end, moved apart so that none hides another.
std::vector<double> spread(std::vector<std::pair<double, size_t>> wanted, double step) {
  std::sort(wanted.begin(), wanted.end());
  std::vector<double> placed(wanted.size());
  double next = kTop + 4;
  for (const auto& [y, i] : wanted) {
    placed[i] = std::max(y, next);
    next = placed[i] + step;
  }
  return placed;
}

}  // namespace

std::string histogram(const std::vector<Bar>& bars, std::pair<double, double> band, const std::string& unit,
                      const std::string& caption) {
  if (bars.size() < 2) return "";
  const double step = bars[1].centre - bars[0].centre, low = bars.front().centre - step / 2,
               high = bars.back().centre + step / 2;
  double most = 1;
  for (const Bar& bar : bars) most = std::max(most, bar.height);
  const double right = kWidth - 20, base = kHeight - kBottom;
  const auto x = [&](double value) { return kLeft + (value - low) / (high - low) * (right - kLeft); };
  const auto y = [&](double count) { return base - count / most * (base - kTop); };
  std::string out = box(x(band.first), kTop, x(band.second) - x(band.first), base - kTop, "band");
  for (const Bar& bar : bars) {
    if (bar.height > 0)
      out += box(x(bar.centre - step / 2) + 1, y(bar.height),
                 x(bar.centre + step / 2) - x(bar.centre - step / 2) - 2, base - y(bar.height), "bar");
    if (std::fmod(std::abs(bar.centre), 2 * step) < step / 2)
      out += text(x(bar.centre), base + 15, "middle",
                  fmt::format("{}{:g}",
                              bar.centre < 0   ? "−"
                              : bar.centre > 0 ? "+"
                                               : "",
                              std::abs(bar.centre)));
  }
  out += rule(kLeft, base, right, base, "axis") +
         text(kLeft - 6, y(most) + 4, "end", fmt::format("{:g}", most)) +
         text(kLeft - 6, base + 4, "end", "0");
  return figure(out + text((kLeft + right) / 2, kHeight - 2, "middle", unit), caption);
}

std::string stacks(const std::vector<Stack>& stacks, const std::vector<std::string>& part_names,
                   const std::string& caption) {
  constexpr double kNames = 120, kLabels = 80, kStep = 24, kBar = 16;
  constexpr size_t kColours = 8;
  double most = 0;
  for (const Stack& stack : stacks)
    most = std::max(most, std::accumulate(stack.parts.begin(), stack.parts.end(), 0.0));
  if (!(most > 0)) return "";
  const double scale = (kWidth - kNames - kLabels) / most;
  std::string out;
  double y = kTop;
  for (const Stack& stack : stacks) {
    double x = kNames;
    for (size_t i = 0; i < stack.parts.size(); ++i) {
      if (stack.parts[i] > 0)
        out += box(x, y, stack.parts[i] * scale, kBar, fmt::format("p{}", i % kColours).c_str());
      x += stack.parts[i] * scale;
    }
    out += text(kNames - 8, y + kBar - 4, "end", stack.name, "ink") +
           text(x + 6, y + kBar - 4, "start", stack.label);
    y += kStep;
  }
  std::string legend;
  for (size_t i = 0; i < part_names.size(); ++i)
    legend +=
        fmt::format("<span class=\"part\"><i class=\"p{}\"></i>{}</span> ", i % kColours, part_names[i]);
  return figure(out, caption + "<br>" + legend, y + kTop);
}

std::string lines(const std::vector<Line>& lines, double first, double last, const std::string& x_title,
                  const std::string& y_title, const std::string& caption) {
  double low = INFINITY, high = 0;
  for (const Line& line : lines)
    for (const double value : line.values)
      if (value > 0) low = std::min(low, value), high = std::max(high, value);
  if (!(high > 0)) return "";
  low = std::pow(10, std::floor(std::log10(low)));
  high = std::pow(10, std::ceil(std::log10(high * 1.0001)));
  const double right = kWidth - kRight, base = kHeight - kBottom;
  const auto y = [&](double value) {
    return base - std::log(std::max(value, low) / low) / std::log(high / low) * (base - kTop);
  };
  std::string out;
  for (double decade = low; decade <= high * 1.01; decade *= 10)
    out += rule(kLeft, y(decade), right, y(decade), "grid") +
           text(kLeft - 6, y(decade) + 4, "end", fmt::format("{:g}", decade));
  std::vector<std::pair<double, size_t>> ends;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string path;
    const auto count = static_cast<double>(lines[i].values.size());
    for (size_t k = 0; k < lines[i].values.size(); ++k)
      path += fmt::format("{}{:.1f},{:.1f}", k == 0 ? "" : " ",
                          kLeft + (static_cast<double>(k) + 0.5) / count * (right - kLeft),
                          y(lines[i].values[k]));
    out += fmt::format("<polyline points=\"{}\" class=\"line\"/>\n", path);
    ends.emplace_back(y(lines[i].values.back()) + 4, i);
  }
  const std::vector<double> places = spread(ends, 13);
  for (size_t i = 0; i < lines.size(); ++i) out += text(right + 6, places[i], "start", lines[i].name, "ink");
  out += rule(kLeft, base, right, base, "axis") +
         text(kLeft, base + 15, "start", fmt::format("{:g}", first)) +
         text(right, base + 15, "end", fmt::format("{:g}", last));
  return figure(out + text((kLeft + right) / 2, kHeight - 2, "middle", x_title + "; " + y_title), caption);
}

}  // namespace aquatint::report::svg
