// Files of lm-evaluation-harness: the results, a line with three dashes and an equals sign, then samples.
#include "eval/harness_results.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all = aquatint::fuzz::text(data, size);
  constexpr std::string_view kCut = "\n---=\n";
  const size_t cut = std::min(all.find(kCut), size);
  return aquatint::fuzz::refuse_or_parse([&] {
    using namespace aquatint;
    for (eval::HarnessTask& task : eval::parse_harness_results(all.substr(0, cut), "results").tasks)
      eval::add_harness_samples(task, all.substr(std::min(cut + kCut.size(), size)), "samples");
  });
}
