// Task files and their documents: YAML, a line with three dashes and an equals sign, then one document; items
// and answers made of them.
#include "eval/answers.h"
#include "eval/task_items.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all = aquatint::fuzz::text(data, size);
  constexpr std::string_view kCut = "\n---=\n";
  const size_t cut = all.find(kCut);
  if (all.find("include") != std::string_view::npos) return 0;  // would read other files
  const std::string_view yaml = all.substr(0, cut);
  const std::string document(cut == std::string_view::npos ? "{}" : all.substr(cut + kCut.size()));
  return aquatint::fuzz::refuse_or_parse([&] {
    using namespace aquatint;
    base::parse_json(document, "document");
    const auto parsed = eval::Document::parse(document);
    const eval::TaskConfig config =
        eval::parse_task_config(yaml, "fuzz.yaml", eval::item_form(parsed).value_or(eval::TaskConfig{}));
    for (const eval::AnswerFilter& filter : config.filters)
      eval::AnswerExtractor(filter, "fuzz").extract(document);
    for (const eval::MetricConfig& metric : config.metrics)
      eval::ExactMatch(metric, "fuzz").matches(document, {"x"});
    eval::make_item(config, parsed, "fuzz");
  });
}
