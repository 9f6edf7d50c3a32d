#include "report/flips.h"

#include <algorithm>

namespace aquatint::report {

std::vector<FlipExample> flip_examples(const eval::TaskResult& model, const eval::TaskResult& reference,
                                       const eval::Flips& flips, size_t most) {
  std::vector<FlipExample> examples;
  const std::vector<eval::ItemText>& texts = model.texts.empty() ? reference.texts : model.texts;
  if (texts.empty()) return examples;
  const auto take = [&](const std::vector<int64_t>& items, bool lost) {
    for (size_t k = 0; k < std::min(items.size(), most); ++k) {
      const auto i = static_cast<size_t>(items[k]);
      examples.push_back({model.name, texts[i].line, lost, texts[i].question,
                          eval::answer_text(model.kind, texts[i], reference.items[i]),
                          eval::answer_text(model.kind, texts[i], model.items[i])});
    }
  };
  take(flips.lost, true);
  take(flips.gained, false);
  return examples;
}

}  // namespace aquatint::report
