// planner_tool table FILE: predicted against published throughput, in Markdown, for docs/planner.md.
// planner_tool fit FILE: the efficiencies that fit best, by a search along one after the other.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "plan/published.h"

namespace {

using namespace aquatint;
using test::Published;

constexpr double kEnough =
    10e9;  // bytes for keys and values on a card, as the publication itself warns below

double off(const Published& row, const test::Predicted& p) {
  return 100 * (p.tokens_per_second / row.tokens_per_second - 1);
}

// Where little room is left, what is left free decides how many sequences there are.
std::string remark(const Published& row, const plan::Efficiency& efficiency, const test::Predicted& p) {
  if (p.cache_bytes >= kEnough) return std::fabs(off(row, p)) > 25 ? "miss" : "";
  plan::Efficiency tighter = efficiency;
  tighter.reserve /= 2;
  return fmt::format("little room; with half the reserve {:+.0f} %", off(row, test::predict(row, tighter)));
}

std::string line(const Published& row, const plan::Efficiency& efficiency) {
  const test::Predicted p = test::predict(row, efficiency);
  return fmt::format(
      "| {} | {} | {} × {} | {} | {:.0f}/{:.0f} | {:.1f} | {:.0f} | {:.0f} | {:+.0f} % | {} |\n", row.release,
      row.model, row.count, row.gpu, row.scheme, row.traffic.prompt_tokens, row.traffic.generate_tokens,
      p.cache_bytes * 1e-9, row.tokens_per_second, p.tokens_per_second, off(row, p),
      remark(row, efficiency, p));
}

void print_table(const std::vector<Published>& rows) {
  const plan::Efficiency efficiency = plan::default_efficiency();
  fmt::print(
      "| release | model | cards | scheme | tokens in/out | GB for keys and values | published tok/s | "
      "predicted | off | |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n");
  for (const Published& row : rows) fmt::print("{}", line(row, efficiency));
}

struct Parameter {
  const char* name;
  double& (*of)(plan::Efficiency&);
  double low, high;
};
const Parameter kParameters[] = {
    {"weight_bandwidth", [](plan::Efficiency& e) -> double& { return e.weight_bandwidth; }, 0.5, 0.95},
    {"cache_bandwidth", [](plan::Efficiency& e) -> double& { return e.cache_bandwidth; }, 0.5, 0.95},
    {"bf16", [](plan::Efficiency& e) -> double& { return e.matrix["bf16"]; }, 0.3, 0.8},
    {"fp8_e4m3", [](plan::Efficiency& e) -> double& { return e.matrix["fp8_e4m3"]; }, 0.3, 0.8},
    {"attention", [](plan::Efficiency& e) -> double& { return e.attention; }, 0.2, 0.7},
    {"link", [](plan::Efficiency& e) -> double& { return e.link; }, 0.2, 0.9},
    {"collective_seconds", [](plan::Efficiency& e) -> double& { return e.collective_seconds; }, 4e-6, 4e-5},
    {"step_seconds", [](plan::Efficiency& e) -> double& { return e.step_seconds; }, 1e-4, 5e-3},
    {"sequence_seconds", [](plan::Efficiency& e) -> double& { return e.sequence_seconds; }, 1e-7, 2e-5},
};

// Mean distance of logarithms, where there is room enough; one publication's outlier counts half.
double loss(const std::vector<Published>& rows, plan::Efficiency efficiency) {
  efficiency.matrix["fp16"] = efficiency.head = efficiency.matrix["bf16"];
  double sum = 0;
  int count = 0;
  for (const Published& row : rows) {
    const test::Predicted p = test::predict(row, efficiency);
    if (p.cache_bytes < kEnough) continue;
    sum += std::min(0.5, std::fabs(std::log(p.tokens_per_second / row.tokens_per_second)));
    ++count;
  }
  return sum / count;
}

void fit(std::vector<Published> rows) {
  std::erase_if(rows, [](const Published& row) { return !row.fitted(); });
  plan::Efficiency best = plan::default_efficiency();
  double least = loss(rows, best);
  for (double step = 0.2; step > 0.02;) {
    bool better = false;
    for (const Parameter& parameter : kParameters)
      for (const double factor : {1 + step, 1 / (1 + step)}) {
        plan::Efficiency tried = best;
        double& value = parameter.of(tried);
        value = std::clamp(value * factor, parameter.low, parameter.high);
        if (const double now = loss(rows, tried); now < least * 0.9995)
          least = now, best = tried, better = true;
      }
    if (!better) step /= 2;
    fmt::print("{:.4f}", least);
    for (const Parameter& parameter : kParameters)
      fmt::print(" {} {:.4g}", parameter.name, parameter.of(best));
    fmt::print("\n");
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::vector<Published> rows = test::read_published(argv[2]);
  if (std::string_view(argv[1]) == "fit")
    fit(rows);
  else
    print_table(rows);
  return 0;
}
