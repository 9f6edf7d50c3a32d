// Results of tasks and comparisons as text for a terminal and as JSON.
#pragma once
#include <string>

#include "base/json.h"
#include "report/task_report.h"

namespace aquatint::report {

std::string task_scores_text(const TaskEvaluation& tasks);  // every metric, beside the reference's
// Differences, recovery, similarity, and `flips` examples of each kind and task; "" without a comparison.
std::string task_comparison_text(const TaskEvaluation& tasks, int64_t flips);
// {"tasks": {name: {"acc,none", …, "difference"}}, "comparison"}
base::Json task_evaluation_json(const TaskEvaluation& tasks);

std::string task_report_text(const TaskReport& report, int64_t flips);
base::Json task_report_json(const TaskReport& report);
std::string task_report_csv(const TaskReport& report);  // a line for each model, task and metric

// A text on one line, its end where it is longer than `longest` bytes.
std::string one_line(const std::string& text, size_t longest);

}  // namespace aquatint::report
