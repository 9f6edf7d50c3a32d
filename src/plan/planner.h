// The question and its answer. The flow of docs/planner.md, top to bottom: shape → bytes → step time → load →
// cost and quality → ranking → advice.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plan/cost.h"
#include "plan/load.h"
#include "plan/offload.h"
#include "plan/quality.h"
#include "plan/simulate.h"
#include "plan/training.h"

namespace aquatint::plan {

// What runs today, to compare with: its price, and whether quantization is the first thing to look at.
struct Current {
  Choice choice;
  std::string gpu;
  int count = 1;
  double token_seconds = 0;   // measured; 0: not known
  double cost_per_month = 0;  // 0: from the price
};

struct Question {
  std::vector<Shape> models;
  std::vector<Choice> choices;
  std::vector<Device> devices;
  std::vector<int> counts;
  Traffic traffic;
  Limits limits;
  double max_loss = 0.01;                             // of quality, a share
  double budget_per_month = 0;                        // 0: none
  std::map<std::string, double, std::less<>> prices;  // of a card and hour, by device name
  std::optional<Current> current;
  const report::Study* study = nullptr;  // of `study_model` among models
  std::string study_model;
  Efficiency efficiency = default_efficiency();
  std::map<std::string, Efficiency, std::less<>> measured;  // replaces it, by device name
};

// Why a candidate does not do, and what would have to change.
struct Miss {
  std::string target;  // "memory", "ttft", "tpot", "quality", "budget", "layout"
  double is = 0, wanted = 0;
  std::string text;    // "TPOT 72 ms, wanted 50 ms"
  std::string change;  // "2 cards instead of 1 reach 38 ms"
};

struct Candidate {
  size_t model = 0;  // of Question::models
  Choice choice;
  std::string gpu;
  int count = 1, replicas = 1;
  Execution execution;
  Memory memory;
  double weight_bytes = 0, bits_per_weight = 0;
  double most_sequences = 0, longest_context = 0;
  Service alone;                 // synchronous
  Service at_most;               // asynchronous
  Service loaded;                // each of the replicas at the peak rate; as at_most without one
  std::optional<Played> played;  // of those that are shown
  Cost cost;
  Quality quality;
  Effort effort;
  std::optional<Offload> offload;  // where the weights do not fit
  std::vector<Miss> misses;
  std::string bound;   // what limits it first
  std::string reason;  // why it stands where it stands, one line
  bool meets() const { return misses.empty(); }
};

struct Warning {
  std::string topic;  // "activations", "int4", "fp8", "stale", "sensitivity", "kv-cache"
  std::string text;
};

struct Answer {
  Question question;
  std::vector<Candidate> candidates;  // best first: those that meet everything, then by how little they miss
  std::vector<size_t> pareto;         // nothing else is cheaper, faster and better at once
  std::optional<size_t> chosen;       // meets everything at the least cost
  std::string closest;                // where nothing does: what comes closest, and why it fails
  std::vector<Warning> warnings;
  std::vector<std::string> findings;     // about today's deployment and the targets themselves
  std::vector<TrainingMemory> training;  // of the first model
  double payback_days = 0;               // of the chosen one against today's; NaN: unknown
};

// Every combination in closed form: the sweep. Not ordered, nothing simulated.
std::vector<Candidate> sweep(const Question& question);

Answer answer(const Question& question);

base::Json to_json(const Candidate& candidate, const Question& question);
base::Json to_json(const Answer& answer);

}  // namespace aquatint::plan
