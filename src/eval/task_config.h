// How documents become items and answers become scores: what lm-evaluation-harness writes into a task's YAML
// file, as one structure.
//
// YAML keys read (the harness' names and meanings): task, include, dataset_kwargs.data_files, test_split,
// validation_split, training_split, fewshot_split, output_type, doc_to_text, doc_to_target, doc_to_choice,
// description, target_delimiter, fewshot_delimiter, num_fewshot, fewshot_config {sampler, samples,
// doc_to_text, doc_to_target, doc_to_choice}, generation_kwargs {until, max_gen_toks}, filter_list,
// metric_list; ours: shots, delimiter, example_delimiter, baseline, data. Keys that change nothing here are
// passed over (metadata, tag, …); what would (a !function in Python, sampling, repeats) is refused.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/document_template.h"

namespace aquatint::eval {

enum class TaskKind { multiple_choice, schema, language_modelling, rolling, generation };
std::string_view task_kind_name(TaskKind kind);
std::optional<TaskKind> task_kind_named(std::string_view name);

using Document = nlohmann::ordered_json;

// A value taken from a document: one of its fields by name, a template over its fields, or a constant.
class Field {
 public:
  Field() = default;
  // `source`: a text (name or template), a number, a list, or an object (its values).
  Field(nlohmann::ordered_json source, const std::string& where);

  bool given() const { return !source_.is_null(); }
  const nlohmann::ordered_json& source() const { return source_; }
  // BadInput ("where: …") when the document has no such field.
  nlohmann::ordered_json of(const Document& document) const;

 private:
  nlohmann::ordered_json source_;
  std::shared_ptr<const text::DocumentTemplate> template_;
};

// One step from a generated text to an answer.
struct FilterStep {
  enum class Kind { regex, strip, lowercase, uppercase, take_first } kind = Kind::take_first;
  std::string pattern;
  int group = 0;  // which match; -1: the last
  std::string fallback = "[invalid]";
};
struct AnswerFilter {
  std::string name = "none";
  std::vector<FilterStep> steps;
};

enum class Aggregation { mean, perplexity, weighted_perplexity, bits_per_byte };

struct MetricConfig {
  std::string name;
  // exact_match:
  bool ignore_case = false, ignore_punctuation = false, ignore_numbers = false;
  std::vector<std::string> ignored_patterns;
};

struct TaskConfig {
  std::string name;
  TaskKind kind = TaskKind::multiple_choice;  // schema when the question is the number of a choice
  Field description, question, target, choices;
  Field answers;  // generation: what the extracted answer may equal; not given: the target
  Field example_question, example_target, example_choices;  // not given: as those of an item
  std::string question_suffix;       // the part of our `delimiter` that belongs to the context
  std::string delimiter = " ";       // between an example's question and answer
  bool delimiter_is_scored = true;   // and before a scored continuation
  bool drops_double_spaces = false;  // no delimiter's space before an answer that starts with one
  std::string example_delimiter = "\n\n";
  int shots = 0;
  bool first_examples = false;    // the first ones instead of random ones
  std::vector<Document> samples;  // examples written into the configuration
  std::vector<std::string> until;
  int64_t max_tokens = 256;
  std::vector<AnswerFilter> filters = {{}};
  std::vector<MetricConfig> metrics;
  std::optional<double> baseline;
  std::string category;  // of the Gauntlet
  // Files by split; under "" when there is one for all.
  std::map<std::string, std::filesystem::path> data;
  std::string test_split, validation_split, training_split, fewshot_split;

  // Our delimiter between context and continuation: its last spaces belong to the continuation, the rest to
  // the context.
  void set_delimiter(std::string_view text);
  // Items come from test, else from validation; examples from fewshot, else training, else validation, else
  // test.
  const std::string& item_split() const;
  const std::string& example_split() const;
  // Whether documents equal to an item's own are left out of its examples. The harness asks so for the split
  // of its examples alone.
  bool excludes_itself() const { return fewshot_split == test_split; }
};

// From YAML of either kind, laid over `base`. `path` names it, and what it includes or names lies beside it.
TaskConfig parse_task_config(std::string_view text, const std::filesystem::path& path, TaskConfig base = {});
TaskConfig read_task_config(const std::filesystem::path& path, TaskConfig base = {});
// Settings of a task that is known by name, for documents such as `first`; nullopt when there is none
// (task_library.cc). A document of one of our item forms gives its form, with the Gauntlet's settings where
// `name` has some.
std::optional<TaskConfig> known_task(const std::string& name, const Document& first);
std::vector<std::string> known_task_names();
// Our item form that a document has; nullopt for another.
std::optional<TaskConfig> item_form(const Document& document);

}  // namespace aquatint::eval
