// Published throughputs and what the planner predicts for them: for the test, the table of docs/planner.md
// and the fit of efficiencies.json.
#pragma once
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "plan/simulate.h"

namespace aquatint::test {

struct Published {
  std::string release, model, gpu, scheme;
  int count = 1;
  plan::Traffic traffic;
  int64_t requests = 0;
  double tokens_per_second = 0;

  // What efficiencies.json is fitted to; other rows only show how far it reaches.
  bool fitted() const {
    return (gpu == "H200" || gpu == "H100-80G") && (model == "Llama-3-8B" || model == "Llama-3-70B");
  }
};

inline std::vector<Published> read_published(const std::string& file) {
  std::vector<Published> rows;
  const base::Json table = base::parse_json(base::read_text(file), file);
  for (const base::Json& r : table.at("rows"))
    rows.push_back({.release = r[0],
                    .model = r[1],
                    .gpu = r[2],
                    .scheme = r[4],
                    .count = r[3],
                    .traffic = {.prompt_tokens = r[5], .generate_tokens = r[6]},
                    .requests = r[7],
                    .tokens_per_second = r[8]});
  return rows;
}

struct Predicted {
  double tokens_per_second = 0, cache_bytes = 0;  // left for keys and values on a card
};

// The publication's own way: all requests at once, at most 4096 sequences.
inline Predicted predict(const Published& row, const plan::Efficiency& efficiency) {
  constexpr double kMostSequences = 4096;
  const plan::Shape shape = plan::find_shape(row.model);
  const plan::Choice choice = plan::find_choice(row.scheme == "FP8" ? "FP8+KVFP8" : row.scheme);
  const plan::Engine engine =
      plan::make_engine(shape, choice, plan::find_device(row.gpu), row.count, efficiency);
  const plan::Memory memory = plan::memory_of(engine);
  const plan::Played played = plan::simulate(
      engine, memory, row.traffic,
      {.requests = row.requests, .most_tokens = efficiency.step_tokens, .most_sequences = kMostSequences});
  return {played.tokens_per_second, memory.cache};
}

}  // namespace aquatint::test
