#include "eval/examples.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <unordered_set>

namespace aquatint::eval {
namespace {

// init_by_array of Matsumoto and Nishimura's mt19937ar.c, in the place that std::mt19937 has for seeding: it
// asks for all of its state.
class ArraySeed {
 public:
  using result_type = uint32_t;
  explicit ArraySeed(uint64_t seed) : key_{static_cast<uint32_t>(seed)} {
    if (seed >> 32) key_.push_back(static_cast<uint32_t>(seed >> 32));
  }

  template <class Iterator>
  void generate(Iterator begin, Iterator end) const {
    constexpr size_t kState = 624;
    std::array<uint32_t, kState> state;
    state[0] = 19650218;
    for (uint32_t i = 1; i < kState; ++i) state[i] = 1812433253u * mixed(state[i - 1]) + i;
    size_t i = 1;
    const auto advance = [&] {
      if (++i < kState) return;
      state[0] = state[kState - 1];
      i = 1;
    };
    for (size_t k = 0; k < kState; ++k) {  // the key is shorter than the state
      const size_t j = k % key_.size();
      state[i] = (state[i] ^ (mixed(state[i - 1]) * 1664525u)) + key_[j] + static_cast<uint32_t>(j);
      advance();
    }
    for (size_t k = 0; k + 1 < kState; ++k) {
      state[i] = (state[i] ^ (mixed(state[i - 1]) * 1566083941u)) - static_cast<uint32_t>(i);
      advance();
    }
    state[0] = 0x80000000u;
    std::copy_n(state.begin(), end - begin, begin);
  }

 private:
  static uint32_t mixed(uint32_t x) { return x ^ (x >> 30); }
  std::vector<uint32_t> key_;
};

std::mt19937 seeded(uint64_t seed) {
  ArraySeed sequence(seed);
  return std::mt19937(sequence);
}

// Up to this population CPython's sample() shuffles a list, above it draws until a number is new.
size_t shuffled_population(size_t count) {
  if (count <= 5) return 21;
  return 21 + static_cast<size_t>(
                  std::pow(4, std::ceil(std::log(static_cast<double>(count) * 3) / std::log(4.0))));
}

// When so many copies of the item's document were drawn that too few others are left, the harness draws
// again, from the others alone.
std::vector<size_t> redraw(const Task& task, size_t item, size_t count, PythonRandom& random) {
  std::vector<size_t> others;
  for (size_t place = 0; place < task.examples().size(); ++place)
    if (task.examples()[place].identity != task.items[item].identity) others.push_back(place);
  if (others.size() < count) return others;
  std::vector<size_t> drawn;
  for (const size_t j : random.sample(others.size(), count)) drawn.push_back(others[j]);
  return drawn;
}

}  // namespace

PythonRandom::PythonRandom(uint64_t seed) : engine_(seeded(seed)) {}

uint64_t PythonRandom::below(uint64_t n) {
  const int bits = std::bit_width(n);  // at most 32: populations are files of lines
  for (;;)
    if (const uint64_t drawn = engine_() >> (32 - bits); drawn < n) return drawn;
}

std::vector<size_t> PythonRandom::sample(size_t population, size_t count) {
  std::vector<size_t> chosen;
  if (population <= shuffled_population(count)) {
    std::vector<size_t> pool(population);
    std::iota(pool.begin(), pool.end(), size_t{0});
    for (size_t i = 0; i < count; ++i) {
      const size_t j = below(population - i);
      chosen.push_back(pool[j]);
      pool[j] = pool[population - i - 1];
    }
    return chosen;
  }
  std::unordered_set<size_t> taken;
  while (chosen.size() < count)
    if (const size_t j = below(population); taken.insert(j).second) chosen.push_back(j);
  return chosen;
}

std::vector<std::vector<size_t>> choose_examples(const Task& task, size_t count, uint64_t seed) {
  std::vector<std::vector<size_t>> chosen(count);
  const auto shots = static_cast<size_t>(task.config.shots);
  if (shots == 0) return chosen;
  const std::vector<TaskItem>& pool = task.examples();
  const bool excludes = task.config.excludes_itself();
  std::vector<size_t> in_order(pool.size());
  std::iota(in_order.begin(), in_order.end(), size_t{0});
  PythonRandom random(seed);
  for (size_t i = 0; i < count; ++i) {
    std::vector<size_t> drawn =
        task.config.first_examples ? in_order : random.sample(pool.size(), shots + excludes);
    if (excludes)
      std::erase_if(drawn, [&](size_t place) { return pool[place].identity == task.items[i].identity; });
    if (drawn.size() < shots && !task.config.first_examples) drawn = redraw(task, i, shots, random);
    drawn.resize(std::min(drawn.size(), shots));
    chosen[i] = std::move(drawn);
  }
  return chosen;
}

}  // namespace aquatint::eval
