// report.html: one file that needs nothing else and no network.
#pragma once
#include <string>

#include "report/study_data.h"
#include "report/task_report.h"

namespace aquatint::report {

std::string render_html(const Study& study);
std::string render_html(const TaskReport& report);

// What a reader must know before trusting the figures: from the facts (source grid, group size, tied
// embedding, cache effects, short text), then the study's own notes. Plain text sentences.
std::vector<std::string> honest_notes(const Study& study);

}  // namespace aquatint::report
