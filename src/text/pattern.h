// What a tokenizer.json stage searches for: {"String": …} or {"Regex": …}.
#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/regex.h"

namespace aquatint::text {

class Pattern {
 public:
  explicit Pattern(std::string literal) : rule_(std::move(literal)) {}
  explicit Pattern(Regex regex) : rule_(std::move(regex)) {}
  // From the value of a stage's key "pattern".
  static Pattern from_json(const base::Json& stage, const std::string& where);

  // Appends all non-overlapping matches in well-formed `text`. An empty literal matches nothing.
  void find_all(std::string_view text, std::vector<Span>& matches) const;
  std::string replace_all(std::string_view text, std::string_view content) const;

 private:
  std::variant<std::string, Regex> rule_;
};

// The "type" of a stage object; BadInput when it is no object or has none.
std::string stage_type(const base::Json& stage, const std::string& where);
// The list under `key` of a Sequence stage.
const base::Json& stage_list(const base::Json& stage, const char* key, const std::string& where);
[[noreturn]] void unsupported_stage(const char* kind, const std::string& type, const std::string& where);

}  // namespace aquatint::text
