// Task configurations from YAML: lm-evaluation-harness' files and our own.
#include <array>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/suggestion.h"
#include "eval/task_config.h"
#include "eval/yaml_tree.h"

namespace aquatint::eval {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr int64_t kMostShots = 1000;
constexpr int64_t kMostTokens = 1 << 20;
constexpr int kDeepestInclude = 8;

// What says nothing about scores here.
constexpr std::array<std::string_view, 9> kPassedOver = {"task_alias",
                                                         "tag",
                                                         "group",
                                                         "metadata",
                                                         "should_decontaminate",
                                                         "doc_to_decontamination_query",
                                                         "dataset_path",
                                                         "dataset_name",
                                                         "unsafe_code"};
constexpr std::array<std::string_view, 25> kKnown = {
    "task",           "include",           "dataset_kwargs",    "test_split",        "validation_split",
    "training_split", "fewshot_split",     "output_type",       "doc_to_text",       "doc_to_target",
    "doc_to_choice",  "description",       "target_delimiter",  "fewshot_delimiter", "num_fewshot",
    "fewshot_config", "generation_kwargs", "filter_list",       "metric_list",       "repeats",
    "shots",          "delimiter",         "example_delimiter", "baseline",          "data"};

std::string file_text(const fs::path& path) { return base::read_text(path, 1 << 20); }

class ConfigReader {
 public:
  ConfigReader(const fs::path& path, TaskConfig config)
      : path_(path), reader_(path.string()), config_(std::move(config)) {}

  TaskConfig read(std::string_view text, int depth) {
    const YamlNode root = read_yaml(text, path_.string());
    reader_.map(root, "the task");
    if (const YamlNode* include = root.find("include")) {
      if (depth == kDeepestInclude) reader_.fail(include->line, "includes follow one another too far");
      const fs::path base = path_.parent_path() / reader_.text(*include, "include");
      config_ = ConfigReader(base, std::move(config_)).read(file_text(base), depth + 1);
    }
    for (const YamlNode::Entry& entry : root.entries)
      if (entry.key != "include") read_key(entry);
    return std::move(config_);
  }

 private:
  // A value as JSON: quoted text stays text, plain words become null, numbers, truth where they are such.
  ordered_json json(const YamlNode& node) const {
    if (node.tag.starts_with("!function"))
      reader_.fail(
          node.line,
          fmt::format("'!function {}' is Python code, which is not run; write it as a template", node.text));
    switch (node.kind) {
      case YamlNode::Kind::null:
        return nullptr;
      case YamlNode::Kind::list: {
        ordered_json list = ordered_json::array();
        for (const YamlNode& item : node.items) list.push_back(json(item));
        return list;
      }
      case YamlNode::Kind::map: {
        ordered_json map = ordered_json::object();
        for (const YamlNode::Entry& entry : node.entries) map[entry.key] = json(entry.value);
        return map;
      }
      case YamlNode::Kind::scalar:
        break;
    }
    if (node.quoted) return node.text;
    if (node.text == "true" || node.text == "True") return true;
    if (node.text == "false" || node.text == "False") return false;
    const char *begin = node.text.data(), *end = begin + node.text.size();
    int64_t integer = 0;
    if (const auto r = std::from_chars(begin, end, integer); r.ec == std::errc() && r.ptr == end)
      return integer;
    double number = 0;
    if (const auto r = std::from_chars(begin, end, number);
        r.ec == std::errc() && r.ptr == end && std::isfinite(number))
      return number;
    return node.text;
  }

  Field field(const YamlNode::Entry& entry) const {
    return {json(entry.value), fmt::format("{}:{}", path_.string(), entry.line)};
  }

  std::string plain_text(const YamlNode& node, std::string_view what) const {
    if (node.kind == YamlNode::Kind::null) return "";
    if (node.kind != YamlNode::Kind::scalar) reader_.fail(node.line, fmt::format("{} must be a text", what));
    return node.text;
  }

  void read_key(const YamlNode::Entry& entry) {
    const std::string& key = entry.key;
    const YamlNode& value = entry.value;
    if (read_texts(entry) || read_parts(key, value)) return;
    if (key == "shots" || key == "num_fewshot") {
      config_.shots = value.kind == YamlNode::Kind::null
                          ? 0
                          : static_cast<int>(reader_.integer(value, key, 0, kMostShots));
    } else if (key == "baseline") {
      config_.baseline = reader_.number(value, key);
      if (!(*config_.baseline >= 0 && *config_.baseline < 1))
        reader_.fail(value.line, "baseline must be from 0 to less than 1");
    } else if (key == "delimiter") {
      config_.set_delimiter(plain_text(value, key));
    } else if (key == "output_type") {
      read_output_type(value);
    } else if (key == "repeats") {
      if (reader_.integer(value, key, 1, 1000) != 1)
        reader_.fail(value.line,
                     "repeats of more than 1 are not supported: answers are greedy, each would be the same");
    } else if (std::find(kPassedOver.begin(), kPassedOver.end(), key) == kPassedOver.end()) {
      json(value);  // says so where it is Python
      reader_.fail(entry.line,
                   fmt::format("unknown key '{}' in a task{}", key, base::suggestion(key, kKnown)));
    }
  }

  bool read_texts(const YamlNode::Entry& entry) {
    const std::string& key = entry.key;
    const auto text = [&] { return plain_text(entry.value, key); };
    if (key == "task")
      config_.name = text();
    else if (key == "doc_to_text")
      config_.question = field(entry);
    else if (key == "doc_to_target")
      config_.target = field(entry);
    else if (key == "doc_to_choice")
      config_.choices = field(entry);
    else if (key == "description")
      config_.description = field(entry);
    else if (key == "target_delimiter")
      config_.delimiter = text();
    else if (key == "fewshot_delimiter" || key == "example_delimiter")
      config_.example_delimiter = text();
    else if (key == "test_split")
      config_.test_split = text();
    else if (key == "validation_split")
      config_.validation_split = text();
    else if (key == "training_split")
      config_.training_split = text();
    else if (key == "fewshot_split")
      config_.fewshot_split = text();
    else
      return false;
    return true;
  }

  bool read_parts(const std::string& key, const YamlNode& value) {
    if (key == "dataset_kwargs")
      read_data(value);
    else if (key == "data")
      config_.data = files(value);
    else if (key == "fewshot_config")
      read_examples(value);
    else if (key == "generation_kwargs")
      read_generation(value);
    else if (key == "filter_list")
      read_filters(value);
    else if (key == "metric_list")
      read_metrics(value);
    else
      return false;
    return true;
  }

  void read_output_type(const YamlNode& value) {
    const std::string type = reader_.text(value, "output_type");
    if (type == "multiple_choice")
      config_.kind = TaskKind::multiple_choice;
    else if (type == "loglikelihood")
      config_.kind = TaskKind::language_modelling;
    else if (type == "loglikelihood_rolling")
      config_.kind = TaskKind::rolling;
    else if (type == "generate_until")
      config_.kind = TaskKind::generation;
    else
      reader_.fail(
          value.line,
          fmt::format(
              "output_type '{}' is unknown; known: multiple_choice, loglikelihood, loglikelihood_rolling, "
              "generate_until",
              type));
    config_.delimiter_is_scored = config_.kind == TaskKind::multiple_choice;
    config_.drops_double_spaces = false;
    config_.question_suffix.clear();
  }

  fs::path beside(const std::string& name) const {
    const fs::path path = name;
    return path.is_absolute() || fs::exists(path) ? path : path_.parent_path() / path;
  }

  std::map<std::string, fs::path> files(const YamlNode& value) const {
    std::map<std::string, fs::path> found;
    if (value.kind != YamlNode::Kind::map) return {{"", beside(reader_.text(value, "the data file"))}};
    for (const YamlNode::Entry& entry : value.entries) {
      if (entry.value.kind == YamlNode::Kind::list && entry.value.items.size() != 1)
        reader_.fail(entry.line,
                     fmt::format("split {} has {} files, expected one", entry.key, entry.value.items.size()));
      const YamlNode& file =
          entry.value.kind == YamlNode::Kind::list ? entry.value.items.front() : entry.value;
      found[entry.key] = beside(reader_.text(file, "a data file"));
    }
    return found;
  }

  void read_data(const YamlNode& value) {
    if (const YamlNode* data = value.kind == YamlNode::Kind::map ? value.find("data_files") : nullptr)
      config_.data = files(*data);
  }

  void read_examples(const YamlNode& value) {
    for (const YamlNode::Entry& entry : reader_.map(value, "fewshot_config").entries) {
      if (entry.key == "sampler") {
        const std::string sampler = reader_.text(entry.value, "sampler");
        if (sampler != "default" && sampler != "first_n")
          reader_.fail(entry.line, fmt::format("sampler '{}' is unknown; known: default, first_n", sampler));
        config_.first_examples = sampler == "first_n";
      } else if (entry.key == "samples") {
        config_.samples.clear();
        if (entry.value.kind != YamlNode::Kind::list) reader_.fail(entry.line, "samples must be a list");
        for (const YamlNode& sample : entry.value.items)
          config_.samples.push_back(json(reader_.map(sample, "a sample")));
      } else if (entry.key == "split") {
        config_.fewshot_split = plain_text(entry.value, "split");
      } else if (entry.key == "doc_to_text") {
        config_.example_question = field(entry);
      } else if (entry.key == "doc_to_target") {
        config_.example_target = field(entry);
      } else if (entry.key == "doc_to_choice") {
        config_.example_choices = field(entry);
      } else {
        reader_.fail(
            entry.line,
            fmt::format("unknown key '{}' in fewshot_config; known: sampler, samples, split, doc_to_text, "
                        "doc_to_target, doc_to_choice",
                        entry.key));
      }
    }
  }

  void read_generation(const YamlNode& value) {
    for (const YamlNode::Entry& entry : reader_.map(value, "generation_kwargs").entries) {
      const std::string& key = entry.key;
      if (key == "until") {
        config_.until.clear();
        if (entry.value.kind == YamlNode::Kind::list)
          for (const YamlNode& stop : entry.value.items) config_.until.push_back(plain_text(stop, "until"));
        else
          config_.until = {plain_text(entry.value, "until")};
      } else if (key == "max_gen_toks" || key == "max_new_tokens" || key == "max_tokens" ||
                 key == "max_completion_tokens") {
        config_.max_tokens = reader_.integer(entry.value, key, 1, kMostTokens);
      } else if (key == "do_sample") {
        if (reader_.boolean(entry.value, key))
          reader_.fail(entry.line, "do_sample is not supported: answers are greedy");
      } else if (key == "temperature") {
        if (reader_.number(entry.value, key) != 0)
          reader_.fail(entry.line, "a temperature is not supported: answers are greedy");
      } else if (key != "top_p" && key != "top_k") {  // without sampling they change nothing
        reader_.fail(entry.line, fmt::format("unknown key '{}' in generation_kwargs", key));
      }
    }
  }

  FilterStep filter_step(const YamlNode& node) const {
    FilterStep step;
    const YamlNode* function = reader_.map(node, "a filter's step").find("function");
    const std::string name = function ? reader_.text(*function, "function") : "";
    if (name == "regex")
      step.kind = FilterStep::Kind::regex;
    else if (name == "remove_whitespace")
      step.kind = FilterStep::Kind::strip;
    else if (name == "lowercase")
      step.kind = FilterStep::Kind::lowercase;
    else if (name == "uppercase")
      step.kind = FilterStep::Kind::uppercase;
    else if (name != "take_first")
      reader_.fail(
          node.line,
          fmt::format(
              "filter function '{}' is unknown; known: regex, remove_whitespace, lowercase, uppercase, "
              "take_first",
              name));
    step.pattern = R"(#### (\-?[0-9\.\,]+))";
    if (const YamlNode* pattern = node.find("regex_pattern"))
      step.pattern = plain_text(*pattern, "regex_pattern");
    if (const YamlNode* group = node.find("group_select"))
      step.group = static_cast<int>(reader_.integer(*group, "group_select", -100, 100));
    if (const YamlNode* fallback = node.find("fallback")) step.fallback = plain_text(*fallback, "fallback");
    return step;
  }

  void read_filters(const YamlNode& value) {
    if (value.kind != YamlNode::Kind::list || value.items.empty())
      reader_.fail(value.line, "filter_list must be a list");
    config_.filters.clear();
    for (const YamlNode& node : value.items) {
      AnswerFilter filter;
      const YamlNode *name = reader_.map(node, "a filter").find("name"), *steps = node.find("filter");
      if (!name || !steps || steps->kind != YamlNode::Kind::list)
        reader_.fail(node.line, "a filter needs a name and a list 'filter'");
      filter.name = reader_.text(*name, "name");
      for (const YamlNode& step : steps->items) filter.steps.push_back(filter_step(step));
      config_.filters.push_back(std::move(filter));
    }
  }

  void read_metrics(const YamlNode& value) {
    if (value.kind != YamlNode::Kind::list || value.items.empty())
      reader_.fail(value.line, "metric_list must be a list");
    config_.metrics.clear();
    for (const YamlNode& node : value.items) {
      MetricConfig metric;
      for (const YamlNode::Entry& entry : reader_.map(node, "a metric").entries) {
        const std::string& key = entry.key;
        if (key == "metric")
          metric.name = static_cast<std::string>(json(entry.value).is_string() ? entry.value.text : "");
        else if (key == "ignore_case")
          metric.ignore_case = reader_.boolean(entry.value, key);
        else if (key == "ignore_punctuation")
          metric.ignore_punctuation = reader_.boolean(entry.value, key);
        else if (key == "ignore_numbers")
          metric.ignore_numbers = reader_.boolean(entry.value, key);
        else if (key == "regexes_to_ignore")
          metric.ignored_patterns = reader_.texts(entry.value, key);
        else if (key != "aggregation" && key != "higher_is_better")
          reader_.fail(entry.line, fmt::format("unknown key '{}' in a metric", key));
        if (key == "aggregation") json(entry.value);  // refuses Python
      }
      if (metric.name.empty()) reader_.fail(node.line, "a metric needs a name");
      config_.metrics.push_back(std::move(metric));
    }
  }

  const fs::path& path_;
  YamlReader reader_;
  TaskConfig config_;
};

}  // namespace

TaskConfig parse_task_config(std::string_view text, const fs::path& path, TaskConfig base) {
  return ConfigReader(path, std::move(base)).read(text, 0);
}

TaskConfig read_task_config(const fs::path& path, TaskConfig base) {
  return parse_task_config(file_text(path), path, std::move(base));
}

}  // namespace aquatint::eval
