// Settings of the MosaicML Evaluation Gauntlet v0.3 by task name: shots, the text between context and
// continuation, the accuracy of guessing.
#include <array>

#include "eval/tasks.h"

namespace aquatint::eval {
namespace {

struct Row {
  std::string_view name;
  int shots;
  std::string_view delimiter;
  double baseline;
};

constexpr std::array kGauntlet = {
    Row{"arc_easy", 3, "\nAnswer: ", 0.25},
    Row{"arc_challenge", 3, "\nAnswer: ", 0.25},
    Row{"piqa", 0, "\nAnswer: ", 0.5},
    Row{"boolq", 0, "\nAnswer: ", 0.5},
    Row{"copa", 0, " ", 0.5},
    Row{"commonsense_qa", 0, " ", 0.25},
    Row{"openbook_qa", 10, " ", 0.25},
    Row{"agi_eval_lsat_ar", 5, " ", 0.25},
    Row{"agi_eval_sat_en", 5, " ", 0.25},
    Row{"winograd", 3, " ", 0.5},
    Row{"winogrande", 5, " ", 0.5},
    Row{"lambada_openai", 0, " ", 0},
    Row{"bigbench_operators", 3, " ", 0},
    Row{"simple_arithmetic_withspaces", 5, " ", 0},
};

}  // namespace

std::optional<TaskSettings> gauntlet_settings(std::string_view name) {
  for (const Row& row : kGauntlet)
    if (row.name == name) return TaskSettings{row.shots, std::string(row.delimiter), "\n", row.baseline};
  return std::nullopt;
}

std::vector<std::string_view> gauntlet_names() {
  std::vector<std::string_view> names;
  for (const Row& row : kGauntlet) names.push_back(row.name);
  return names;
}

}  // namespace aquatint::eval
