// Values as text: Python's str() and repr(), and json.dumps().
#pragma once
#include <string>

#include "text/jinja/value.h"

namespace aquatint::text::jinja {

std::string to_string(const Value& value, Budget& budget);  // str(): a string as it is, undefined as nothing
std::string repr(const Value& value, Budget& budget);
std::string float_repr(double x);  // the shortest digits that read back as x, in Python's form

struct JsonStyle {
  std::optional<std::string> indent;  // none: one line
  std::string item_separator = ", ", key_separator = ": ";
  bool ensure_ascii = false, sort_keys = false;
};
// Failure for what JSON has no word for.
std::string to_json(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace aquatint::text::jinja
