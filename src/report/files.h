// Reports as files: a page, or the same data for other programs.
#pragma once
#include <filesystem>

#include "report/study_data.h"
#include "report/task_report.h"

namespace aquatint::report {

// By the name's ending: .html, .json or .csv. BadUsage for another one; the file appears whole or not at all.
void write_report(const Study& study, const std::filesystem::path& to);
void write_report(const TaskReport& report, const std::filesystem::path& to);

// A line for each scheme: every number, its standard error where it has one, speeds by workload, tasks.
std::string study_csv(const Study& study);

}  // namespace aquatint::report
