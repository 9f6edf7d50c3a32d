// Filters of single values. Those of lists are in list_filters.cc.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/filter_table.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/python_regex.h"

namespace aquatint::text::jinja {
namespace {

using I = Interpreter;
using V = const Value;
using A = const Arguments;

Value trim(I& i, V& v, A& a) {
  const std::string text = to_string(v, i.budget());
  const Value* characters = a.find(0, "chars");
  if (!characters || characters->is_none()) return std::string(strip(text, Side::both));
  return std::string(strip(text, string_argument(a, 0, "chars"), Side::both));
}

// What a line is indented by: a string, or so many blanks.
std::string indentation(const Value& width) {
  if (width.string()) return *width.string();
  if (!width.integer() || *width.integer() > 1000)
    throw Failure(fmt::format("an indentation of {}, expected an int up to 1000", width.type_name()));
  return std::string(static_cast<size_t>(std::max<int64_t>(*width.integer(), 0)), ' ');
}

Value tojson(I& i, V& v, A& a) {
  JsonStyle style;
  style.ensure_ascii = bool_argument_or(a, 0, "ensure_ascii", false);
  if (const Value* indent = a.find(1, "indent"); indent && !indent->is_none()) {
    style.indent = indentation(*indent);
    style.item_separator.assign(1, ',');
  }
  if (const Value* separators = a.find(2, "separators"); separators && !separators->is_none()) {
    const List* pair = separators->items();
    if (!pair || pair->size() != 2 || !(*pair)[0].string() || !(*pair)[1].string())
      throw Failure("tojson(separators=…) must be two strings");
    style.item_separator = *(*pair)[0].string();
    style.key_separator = *(*pair)[1].string();
  }
  style.sort_keys = bool_argument_or(a, 3, "sort_keys", false);
  return to_json(v, style, i.budget());
}

Value use_default(I&, V& v, A& a) {
  const bool replaces = v.is_undefined() || (bool_argument_or(a, 1, "boolean", false) && !v.truthy());
  if (!replaces) return v;
  const Value* otherwise = a.find(0, "default_value");
  return otherwise ? *otherwise : Value("");
}

template <std::string (*change)(std::string_view)>
Value case_filter(I& i, V& v, A&) {
  return change(to_string(v, i.budget()));
}

Value replace_filter(I& i, V& v, A& a) {
  return i.call(find_method(Value(to_string(v, i.budget())), "replace"), a);
}

// lm-evaluation-harness': Python's re.sub of every match.
Value regex_replace(I& i, V& v, A& a) {
  const PythonRegex regex(string_argument(a, 0, "pattern"), "regex_replace");
  const std::string text = to_string(v, i.budget());
  i.budget().spend_bytes(text.size());
  return regex.replace_all(text, string_argument(a, 1, "repl"));
}

Value indent(I& i, V& v, A& a) {
  const Value* width = a.find(0, "width");
  const std::string before = indentation(width ? *width : Value(int64_t{4}));
  const bool first = bool_argument_or(a, 1, "first", false), blank = bool_argument_or(a, 2, "blank", false);
  const std::string text = to_string(v, i.budget()) + "\n";  // Jinja's: keeps an empty last line
  const auto lines = split_lines(text);
  i.budget().spend_bytes(text.size() + lines.size() * before.size());
  std::string out;
  for (size_t n = 0; n < lines.size(); ++n) {
    if (n > 0) out += '\n';
    if (n == 0 ? first : blank || !lines[n].empty()) out += before;
    out += lines[n];
  }
  return out;
}

Value to_int(I&, V& v, A& a) {
  const int64_t otherwise = int_argument_or(a, 0, "default", 0);
  if (v.integer()) return *v.integer();
  double x = 0;
  if (v.number()) {
    x = *v.number();
  } else if (v.string()) {
    std::string_view text = strip(*v.string(), Side::both);
    if (text.starts_with('+')) text.remove_prefix(1);
    int64_t n = 0;
    const char* end = text.data() + text.size();
    if (const auto r = std::from_chars(text.data(), end, n); r.ec == std::errc() && r.ptr == end) return n;
    if (const auto r = std::from_chars(text.data(), end, x); r.ec != std::errc() || r.ptr != end)
      return otherwise;
  } else {
    return otherwise;
  }
  return std::fabs(x) < 9e18 ? Value(static_cast<int64_t>(x)) : Value(otherwise);
}

Value to_float(I&, V& v, A& a) {
  const Value* otherwise = a.find(0, "default");
  if (v.number()) return *v.number();
  if (v.string()) {
    std::string_view text = strip(*v.string(), Side::both);
    if (text.starts_with('+')) text.remove_prefix(1);
    double x = 0;
    const char* end = text.data() + text.size();
    if (const auto r = std::from_chars(text.data(), end, x); r.ec == std::errc() && r.ptr == end) return x;
  }
  return otherwise ? *otherwise : Value(0.0);
}

Value absolute(I&, V& v, A&) {
  if (v.integer()) return *v.integer() < 0 ? negate(v) : Value(*v.integer());
  if (v.number()) return std::fabs(*v.number());
  throw Failure(fmt::format("abs of {}", v.type_name()));
}

Value round_filter(I&, V& v, A& a) {
  const int64_t precision = int_argument_or(a, 0, "precision", 0);
  const std::string method = string_argument_or(a, 1, "method", "common");
  if (!v.number() || precision < -300 || precision > 300)
    throw Failure(fmt::format("round of {}", v.type_name()));
  const double scale = std::pow(10.0, static_cast<double>(precision)), x = *v.number() * scale;
  if (method == "ceil") return std::ceil(x) / scale;
  if (method == "floor") return std::floor(x) / scale;
  if (method != "common") throw Failure("round(): method must be common, ceil or floor");
  return std::nearbyint(x) / scale;
}

Value escape(I& i, V& v, A&) {
  std::string out;
  for (const char c : to_string(v, i.budget())) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  i.budget().spend_bytes(out.size());
  return out;
}

Value length_filter(I&, V& v, A&) {
  const auto n = length(v);
  if (!n) throw Failure(fmt::format("length of {}", v.type_name()));
  return *n;
}

Value to_text(I& i, V& v, A&) { return to_string(v, i.budget()); }

Value attribute(I& i, V& v, A& a) { return get_attribute(i, v, string_argument(a, 0, "name")); }

}  // namespace

const FilterTable& value_filters() {
  static const FilterTable all = {
      {"trim", trim},
      {"tojson", tojson},
      {"default", use_default},
      {"d", use_default},
      {"upper", case_filter<upper>},
      {"lower", case_filter<lower>},
      {"capitalize", case_filter<capitalize>},
      {"title", case_filter<title>},
      {"replace", replace_filter},
      {"regex_replace", regex_replace},
      {"indent", indent},
      {"int", to_int},
      {"float", to_float},
      {"abs", absolute},
      {"round", round_filter},
      {"escape", escape},
      {"e", escape},
      {"length", length_filter},
      {"count", length_filter},
      {"string", to_text},
      {"safe", to_text},
      {"attr", attribute},
  };
  return all;
}

Value apply_filter(Interpreter& interpreter, const std::string& name, const Value& input,
                   const Arguments& arguments) {
  for (const FilterTable* table : {&value_filters(), &list_filters()})
    if (const auto it = table->find(name); it != table->end())
      return it->second(interpreter, input, arguments);
  throw Failure(fmt::format("filter \"{}\" is not supported", name));
}

}  // namespace aquatint::text::jinja
