// Internal to the room: one combination, judged.
#pragma once
#include "plan/planner.h"

namespace aquatint::plan {

Candidate judge(const Question& question, size_t model, const Choice& choice, const Device& device,
                int count);
// What the candidate stands for; refers to the question's models and devices.
Engine engine_of(const Question& question, const Candidate& candidate);

// What candidates are compared by: money where every one has a price, otherwise energy at the makers' limit,
// or cards where that is not known; for the load where one is given, otherwise for a token. Infinite where
// nothing can be served.
double cost_key(const Question& question, const Candidate& candidate);

// Best first; reasons are written.
void rank(const Question& question, std::vector<Candidate>& candidates);
// Of ranked candidates those that none beats in cost, TPOT and quality at once.
std::vector<size_t> pareto_set(const Question& question, const std::vector<Candidate>& candidates);
// How far from what was asked: 0 when all is met, a doubling of every target missed adds 1.
double distance(const Candidate& candidate);

// What would have to change, for each miss, from what other candidates reach.
void suggest_changes(const Question& question, std::vector<Candidate>& candidates);
std::vector<Warning> warnings_of(const Question& question, const std::vector<Candidate>& candidates);
std::vector<std::string> findings_of(const Question& question, const std::vector<Candidate>& candidates);

}  // namespace aquatint::plan
