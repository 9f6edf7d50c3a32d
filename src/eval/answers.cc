#include "eval/answers.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja/strings.h"

namespace aquatint::eval {
namespace {

constexpr std::string_view kSpaces = " \t\n\r\f\v";
constexpr std::string_view kPunctuation =
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";  // Python's string.punctuation

std::string stripped(const std::string& text) {
  const size_t first = text.find_first_not_of(kSpaces);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kSpaces) + 1 - first);
}

}  // namespace

AnswerExtractor::AnswerExtractor(const AnswerFilter& filter, const std::string& where) : filter_(filter) {
  for (const FilterStep& step : filter.steps)
    if (step.kind == FilterStep::Kind::regex)
      regexes_.emplace_back(step.pattern, fmt::format("{}: filter {}", where, filter.name));
}

std::string AnswerExtractor::match(const FilterStep& step, const text::PythonRegex& regex,
                                   const std::string& text) const {
  const auto all = regex.find_all(text);
  const int64_t place = step.group < 0 ? std::ssize(all) + step.group : step.group;
  if (place < 0 || place >= std::ssize(all)) return step.fallback;
  const auto& groups = all[static_cast<size_t>(place)];
  if (groups.size() == 1) return stripped(groups.front());
  const auto found =
      std::find_if(groups.begin(), groups.end(), [](const std::string& group) { return !group.empty(); });
  return stripped(found == groups.end() ? step.fallback : *found);
}

std::string AnswerExtractor::extract(std::string text) const {
  auto regex = regexes_.begin();
  for (const FilterStep& step : filter_.steps) {
    if (step.kind == FilterStep::Kind::regex) text = match(step, *regex++, text);
    if (step.kind == FilterStep::Kind::strip) text = stripped(text);
    if (step.kind == FilterStep::Kind::lowercase) text = text::jinja::lower(text);
    if (step.kind == FilterStep::Kind::uppercase) text = text::jinja::upper(text);
  }
  return text;
}

ExactMatch::ExactMatch(const MetricConfig& config, const std::string& where) : config_(config) {
  for (const std::string& pattern : config.ignored_patterns)
    ignored_.emplace_back(pattern, where + ": regexes_to_ignore");
}

std::string ExactMatch::normalized(std::string text) const {
  for (const text::PythonRegex& regex : ignored_) text = regex.replace_all(text, "");
  if (config_.ignore_case) text = text::jinja::lower(text);
  if (config_.ignore_punctuation)
    std::erase_if(text, [](char c) { return kPunctuation.find(c) != std::string_view::npos; });
  if (config_.ignore_numbers) std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return text;
}

bool ExactMatch::matches(const std::string& answer, const std::vector<std::string>& accepted) const {
  const std::string found = normalized(answer);
  return std::any_of(accepted.begin(), accepted.end(),
                     [&](const std::string& text) { return normalized(text) == found; });
}

std::string cut_at_stop(std::string text, const std::vector<std::string>& stops) {
  size_t end = text.size();
  for (const std::string& stop : stops)
    if (!stop.empty()) end = std::min(end, text.find(stop));
  text.resize(std::min(end, text.size()));
  return text;
}

}  // namespace aquatint::eval
