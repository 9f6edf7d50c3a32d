// A fuzz target without libFuzzer: its seeds, then changes of them drawn from a fixed seed. No coverage
// guides them, but any compiler builds it beside the tests of a sanitized build; `make fuzz` searches deeper.
//   <parser>_fuzz SECONDS [FOLDER...]   exit 0 when nothing broke; an input that breaks the parser is left in
//   ./NAME-broken
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fuzz.h"

extern "C" void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Input = std::string;
constexpr unsigned kTimeLimit = 10;  // seconds for one input
constexpr size_t kLargest = size_t{1} << 16;

std::string name;
Input current;

// In a signal or a dying process: nothing but writing what already lies in memory.
void keep_input() {
  if (FILE* file = std::fopen((name + "-broken").c_str(), "wb")) {
    std::fwrite(current.data(), 1, current.size(), file);
    std::fclose(file);
    std::fprintf(stderr, "%s: the input is in %s-broken\n", name.c_str(), name.c_str());
  }
}

void stop(const char* why) {
  std::fprintf(stderr, "%s: %s\n", name.c_str(), why);
  keep_input();
  _exit(1);
}

std::vector<Input> read_seeds(int folders, char** folder) {
  std::vector<Input> seeds;
  for (int i = 0; i < folders; ++i)
    for (const auto& entry : std::filesystem::directory_iterator(folder[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  std::sort(seeds.begin(), seeds.end());  // a folder lists its files in any order
  return seeds;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<Input>& seeds) : seeds_(seeds) {}

  Input next() {
    Input input = any_seed();
    for (uint64_t changes = 1 + below(4); changes > 0; --changes) change(input);
    if (input.size() > kLargest) input.resize(kLargest);
    return input;
  }

 private:
  uint64_t below(uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  const Input& any_seed() { return seeds_[below(seeds_.size())]; }

  void change(Input& input) {
    const size_t at = below(input.size() + 1), length = 1 + below(std::min<uint64_t>(input.size() - at, 32));
    switch (below(7)) {
      case 0:  // a bit
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        return;
      case 1:  // a byte that parsers look for
        if (at < input.size()) input[at] = kSpecial[below(sizeof kSpecial)];
        return;
      case 2:  // an extreme number, as bytes
        for (size_t i = at; i < std::min(at + 8, input.size()); ++i)
          input[i] = static_cast<char>(below(2) ? 0xff : 0);
        return;
      case 3:
        input.erase(at, length);
        return;
      case 4:
        input.insert(at, input.substr(at, length));
        return;
      case 5:
        input.resize(at);
        return;
      default: {  // a piece of another seed
        const Input& other = any_seed();
        const size_t from = below(other.size());
        input.insert(at, other.substr(from, 1 + below(64)));
      }
    }
  }

  static constexpr char kSpecial[] = {'{', '}', '[', ']', '"', '\\', ':',    ',',    '-',
                                      '0', '9', 'e', '.', ' ', '\n', '\xff', '\x80', '%'};
  const std::vector<Input>& seeds_;
  std::mt19937_64 random_{1234};
};

void run(const Input& input) {
  current = input;
  alarm(kTimeLimit);
  // Of its own size exactly, so that one byte too far is seen; never null, as libFuzzer has it.
  const std::unique_ptr<uint8_t[]> bytes(new uint8_t[input.size()]);
  std::copy(input.begin(), input.end(), bytes.get());
  LLVMFuzzerTestOneInput(bytes.get(), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s SECONDS [FOLDER...]\n", argv[0]);
    return 2;
  }
  name = std::filesystem::path(argv[0]).filename();
  __sanitizer_set_death_callback(keep_input);
  std::set_terminate([] { stop("an exception that no refusal is"); });
  signal(SIGALRM, [](int) { stop("one input took more than 10 seconds"); });

  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(std::atoi(argv[1]));
  std::vector<Input> seeds = read_seeds(argc - 2, argv + 2);
  seeds.emplace_back();
  for (const Input& seed : seeds) run(seed);
  Mutator mutator(seeds);
  int64_t inputs = static_cast<int64_t>(seeds.size());
  for (; Clock::now() < end; ++inputs) run(mutator.next());
  std::printf("%s: %lld inputs, nothing broke\n", name.c_str(), static_cast<long long>(inputs));
}
