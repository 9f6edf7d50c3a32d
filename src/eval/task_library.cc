// Tasks known by name: the MosaicML Evaluation Gauntlet v0.3 over our item forms, and tasks of
// lm-evaluation-harness over documents in the form of their Hugging Face datasets, five examples each.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "eval/task_config.h"

namespace aquatint::eval {
namespace {

struct GauntletTask {
  std::string_view name, category;
  int shots;
  std::string_view delimiter;
  double baseline;
};

constexpr std::string_view kKnowledge = "world_knowledge", kCommonsense = "commonsense_reasoning",
                           kLanguage = "language_understanding", kSymbols = "symbolic_problem_solving",
                           kReading = "reading_comprehension";

constexpr std::array kGauntlet = {
    GauntletTask{"arc_easy", kKnowledge, 3, "\nAnswer: ", 0.25},
    GauntletTask{"arc_challenge", kKnowledge, 3, "\nAnswer: ", 0.25},
    GauntletTask{"piqa", kCommonsense, 0, "\nAnswer: ", 0.5},
    GauntletTask{"copa", kCommonsense, 0, " ", 0.5},
    GauntletTask{"commonsense_qa", kCommonsense, 0, " ", 0.25},
    GauntletTask{"openbook_qa", kCommonsense, 10, " ", 0.25},
    GauntletTask{"boolq", kReading, 0, "\nAnswer: ", 0.5},
    GauntletTask{"agi_eval_sat_en", kReading, 5, " ", 0.25},
    GauntletTask{"agi_eval_lsat_ar", kSymbols, 5, " ", 0.25},
    GauntletTask{"bigbench_operators", kSymbols, 3, " ", 0},
    GauntletTask{"simple_arithmetic_withspaces", kSymbols, 5, " ", 0},
    GauntletTask{"svamp", kSymbols, 5, " ", 0},
    GauntletTask{"winograd", kLanguage, 3, " ", 0.5},
    GauntletTask{"winogrande", kLanguage, 5, " ", 0.5},
    GauntletTask{"lambada_openai", kLanguage, 0, " ", 0},
};

// A task of the harness: fields and templates as its YAML files have them, its Python rewritten as templates.
struct HarnessTask {
  std::string_view name, key;  // key: a field that its documents have
  std::string_view question, target, choices, description;
  double baseline;
  bool normalizes;  // acc_norm too
  bool first_examples;
};

constexpr std::array kHarness = {
    HarnessTask{"winogrande", "sentence", "{{ answer|int - 1 }}", "{{ sentence.split('_', 1)[1].strip() }}",
                "{{ [sentence.split('_', 1)[0] + option1, sentence.split('_', 1)[0] + option2] }}", "", 0.5,
                false, false},
    HarnessTask{
        "hellaswag", "endings",
        R"({{ (activity_label ~ ': ' ~ ctx_a ~ ' ' ~ ctx_b|capitalize)|trim|replace(' [title]', '. ')|regex_replace('\\[.*?\\]', '')|replace('  ', ' ') }})",
        "{{ label|int }}",
        R"({{ endings|map('trim')|map('replace', ' [title]', '. ')|map('regex_replace', '\\[.*?\\]', '')|map('replace', '  ', ' ')|list }})",
        "", 0.25, true, false},
    HarnessTask{"arc_easy", "answerKey", "Question: {{question}}\nAnswer:",
                "{{choices.label.index(answerKey)}}", "{{choices.text}}", "", 0.25, true, false},
    HarnessTask{"arc_challenge", "answerKey", "Question: {{question}}\nAnswer:",
                "{{choices.label.index(answerKey)}}", "{{choices.text}}", "", 0.25, true, false},
    HarnessTask{"mmlu", "subject",
                "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. "
                "{{choices[3]}}\nAnswer:",
                "answer", "{{ ['A', 'B', 'C', 'D'] }}",
                "The following are multiple choice questions (with answers) about {{ subject|replace('_', ' "
                "') }}.\n\n",
                0.25, false, true},
};

constexpr std::string_view kNumber = "(-?[$0-9.,]{2,})|(-?[0-9]+)";

FilterStep regex(std::string_view pattern, int group) {
  return {FilterStep::Kind::regex, std::string(pattern), group, "[invalid]"};
}

Field field(std::string_view source, std::string_view where) {
  return {std::string(source), std::string(where)};
}

MetricConfig metric(std::string_view name) {
  MetricConfig made;
  made.name = name;
  return made;
}

MetricConfig exact_number() {
  MetricConfig made = metric("exact_match");
  made.ignore_case = true;
  made.ignored_patterns = {",", "\\$", "\\.$"};
  return made;
}

// What our item forms share.
TaskConfig form(TaskKind kind, std::string_view question, std::string_view target) {
  TaskConfig config;
  config.kind = kind;
  config.question = field(question, "the question");
  config.target = field(target, "the answer");
  config.example_delimiter = "\n";
  config.drops_double_spaces = true;
  return config;
}

// Examples reason first, as their documents do; the answer is what follows "The answer is", or the last
// number.
TaskConfig reasoning_form() {
  TaskConfig config =
      form(TaskKind::generation, "Question: {{context}}\n\nA:",
           "{% if chain_of_thought is defined %}{{chain_of_thought}} {% endif %}The answer is {{answer}}");
  config.answers = field("{{ [answer] + aliases|default([]) }}", "the answers");
  config.example_delimiter = "\n\n";
  config.until = {"\n\n", "Question:"};
  config.filters = {{"strict-match", {regex("The answer is\\s*([^\\n]*)", -1)}},
                    {"flexible-extract", {regex(kNumber, -1)}}};
  config.metrics = {exact_number()};
  return config;
}

// The harness' gsm8k over our item form.
TaskConfig gsm8k() {
  TaskConfig config =
      form(TaskKind::generation, "Question: {{context}}\nAnswer:", "{{chain_of_thought}}\n#### {{answer}}");
  config.answers = field("answer", "the answers");
  config.example_delimiter = "\n\n";
  config.shots = 5;
  config.until = {"Question:", "</s>", "<|im_end|>"};
  config.filters = {{"strict-match", {regex(R"(#### (\-?[0-9\.\,]+))", 0)}},
                    {"flexible-extract", {regex(kNumber, -1)}}};
  config.metrics = {exact_number()};
  return config;
}

const GauntletTask* find_gauntlet(std::string_view name) {
  const auto found =
      std::find_if(kGauntlet.begin(), kGauntlet.end(), [&](const auto& task) { return task.name == name; });
  return found == kGauntlet.end() ? nullptr : &*found;
}

TaskConfig harness_config(const HarnessTask& task) {
  TaskConfig config;
  const std::string where(task.name);
  config.question = field(task.question, where + ": the question");
  config.target = field(task.target, where + ": the answer");
  config.choices = field(task.choices, where + ": the choices");
  if (!task.description.empty()) config.description = field(task.description, where + ": the description");
  config.metrics = {metric("acc")};
  if (task.normalizes) config.metrics.push_back(metric("acc_norm"));
  config.shots = 5;
  config.first_examples = task.first_examples;
  config.baseline = task.baseline;
  return config;
}

}  // namespace

std::optional<TaskConfig> item_form(const Document& document) {
  if (document.contains("choices") && document.contains("query")) {
    TaskConfig config = form(TaskKind::multiple_choice, "query", "gold");
    config.choices = field("choices", "the choices");
    config.metrics = {metric("acc"), metric("acc_norm")};
    return config;
  }
  if (document.contains("context_options")) {
    TaskConfig config = form(TaskKind::schema, "gold", "continuation");
    config.choices = field("context_options", "the options");
    config.metrics = {metric("acc")};
    return config;
  }
  if (document.contains("context") && document.contains("continuation")) {
    TaskConfig config = form(TaskKind::language_modelling, "context", "continuation");
    config.metrics = {metric("acc"), metric("perplexity")};
    return config;
  }
  if (document.contains("context") && document.contains("answer")) return reasoning_form();
  return std::nullopt;
}

std::optional<TaskConfig> known_task(const std::string& name, const Document& first) {
  std::optional<TaskConfig> config = item_form(first);
  if (config && config->kind == TaskKind::generation && name == "gsm8k") return gsm8k();
  if (const GauntletTask* task = find_gauntlet(name); task && config) {
    config->shots = task->shots;
    config->set_delimiter(task->delimiter);
    config->baseline = task->baseline;
    config->category = task->category;
    return config;
  }
  for (const HarnessTask& task : kHarness)
    if (task.name == name && first.contains(task.key)) return harness_config(task);
  return std::nullopt;
}

std::vector<std::string> known_task_names() {
  std::vector<std::string> names = {"gsm8k"};
  for (const GauntletTask& task : kGauntlet) names.emplace_back(task.name);
  for (const HarnessTask& task : kHarness)
    if (!find_gauntlet(task.name)) names.emplace_back(task.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace aquatint::eval
