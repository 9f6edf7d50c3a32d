#include "text/pattern.h"

#include "base/error.h"

namespace aquatint::text {

using base::BadInput;
using base::Json;

Pattern Pattern::from_json(const Json& stage, const std::string& where) {
  const auto it = stage.find("pattern");
  if (it != stage.end() && it->is_object() && it->size() == 1) {
    const auto entry = it->begin();
    const std::string& kind = entry.key();
    if (entry->is_string()) {
      const auto& text = entry->get_ref<const std::string&>();
      if (kind == "String") return Pattern(text);
      if (kind == "Regex") return Pattern(Regex(text, where));
    }
  }
  throw BadInput(fmt::format("{}: key \"pattern\" must be {{\"String\": …}} or {{\"Regex\": …}}", where));
}

void Pattern::find_all(std::string_view text, std::vector<Span>& matches) const {
  if (const auto* regex = std::get_if<Regex>(&rule_)) return regex->find_all(text, matches);
  const std::string& literal = std::get<std::string>(rule_);
  if (literal.empty()) return;
  for (size_t at = text.find(literal); at != std::string_view::npos;
       at = text.find(literal, at + literal.size()))
    matches.push_back({at, at + literal.size()});
}

std::string Pattern::replace_all(std::string_view text, std::string_view content) const {
  std::vector<Span> matches;
  find_all(text, matches);
  std::string out;
  out.reserve(text.size());
  size_t last = 0;
  for (const Span& match : matches) {
    out.append(text.substr(last, match.begin - last)).append(content);
    last = match.end;
  }
  return out.append(text.substr(last));
}

std::string stage_type(const Json& stage, const std::string& where) {
  return base::require_string(stage, "type", where);
}

const Json& stage_list(const Json& stage, const char* key, const std::string& where) {
  const auto it = stage.find(key);
  if (it == stage.end() || !it->is_array())
    throw BadInput(fmt::format("{}: a Sequence needs a list under \"{}\"", where, key));
  return *it;
}

void unsupported_stage(const char* kind, const std::string& type, const std::string& where) {
  throw BadInput(fmt::format("{}: {} of type \"{}\" is not supported", where, kind, type));
}

}  // namespace aquatint::text
