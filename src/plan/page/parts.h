// The pieces of the page. Internal to the room.
#pragma once
#include <string>

#include "plan/planner.h"

namespace aquatint::plan {

// What the model in JavaScript computes from: the question, and of each candidate the amounts and rates that
// its steps are made of.
base::Json page_data(const Answer& answer);

std::string candidate_table(const Answer& answer, size_t rows);
std::string memory_bars(const Answer& answer, size_t rows);  // "" where nothing fits
std::string change_list(const Answer& answer, size_t rows);  // "" where nothing misses
std::string training_table(const Answer& answer);
std::string cards_of(const Candidate& candidate);  // "2 x H100-80G", with replicas before it

}  // namespace aquatint::plan
