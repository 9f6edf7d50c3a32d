// From generated texts to answers, and whether they are right: the filters and the exact_match of
// lm-evaluation-harness.
#pragma once
#include <string>
#include <vector>

#include "eval/task_config.h"
#include "text/python_regex.h"

namespace aquatint::eval {

class AnswerExtractor {
 public:
  // BadInput when a pattern does not compile; `where` names the task.
  AnswerExtractor(const AnswerFilter& filter, const std::string& where);
  std::string extract(std::string text) const;
  const std::string& name() const { return filter_.name; }

 private:
  std::string match(const FilterStep& step, const text::PythonRegex& regex, const std::string& text) const;

  AnswerFilter filter_;
  std::vector<text::PythonRegex> regexes_;  // of the regex steps, in order
};

class ExactMatch {
 public:
  ExactMatch(const MetricConfig& config, const std::string& where);
  // Whether the answer equals one of `accepted`, all normalized as configured.
  bool matches(const std::string& answer, const std::vector<std::string>& accepted) const;

 private:
  std::string normalized(std::string text) const;

  MetricConfig config_;
  std::vector<text::PythonRegex> ignored_;
};

// `text` as far as the first of the stop strings.
std::string cut_at_stop(std::string text, const std::vector<std::string>& stops);

}  // namespace aquatint::eval
