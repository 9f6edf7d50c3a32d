// Which documents stand as examples before an item: the choice of lm-evaluation-harness, which is that of
// Python's random.Random(seed).
#pragma once
#include <cstdint>
#include <random>
#include <vector>

#include "eval/tasks.h"

namespace aquatint::eval {

// CPython's random.Random for an integer seed: the Mersenne Twister, seeded by its init_by_array, and
// `sample`.
class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);

  uint64_t below(uint64_t n);  // _randbelow, n ≥ 1
  // `count` different numbers below `population`, as sample(range(population), count) draws them.
  std::vector<size_t> sample(size_t population, size_t count);

 private:
  std::mt19937 engine_;
};

// Of the first `count` items the places of their examples in task.examples().
std::vector<std::vector<size_t>> choose_examples(const Task& task, size_t count, uint64_t seed);

}  // namespace aquatint::eval
