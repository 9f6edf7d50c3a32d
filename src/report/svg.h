// Charts that need no script: inline SVG in the page's own colours. All texts are escaped by the caller.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace aquatint::report::svg {

struct Bar {
  double centre = 0, height = 0;
};
// Bars of equal width over a linear axis with a shaded band.
std::string histogram(const std::vector<Bar>& bars, std::pair<double, double> band, const std::string& unit,
                      const std::string& caption);

struct Stack {
  std::string name;
  std::vector<double> parts;  // one for each name of the legend
  std::string label;          // at the bar's end
};
// Horizontal bars of parts that add up, with a legend under them; at most eight colours.
std::string stacks(const std::vector<Stack>& stacks, const std::vector<std::string>& part_names,
                   const std::string& caption);

struct Line {
  std::string name;
  std::vector<double> values;  // at equal steps; > 0
};
// Lines over a linear axis from `first` to `last`, on a logarithmic one; names at their ends.
std::string lines(const std::vector<Line>& lines, double first, double last, const std::string& x_title,
                  const std::string& y_title, const std::string& caption);

}  // namespace aquatint::report::svg
