#include <unordered_map>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/strings.h"

namespace aquatint::text::jinja {
namespace {

using Predicate = bool (*)(Interpreter&, const Value&, const Arguments&);

const Value& operand(const Arguments& arguments) {
  if (arguments.positional.empty()) throw Failure("a test needs an argument");
  return arguments.positional[0];
}

int64_t integer_of(const Value& value) {
  if (!value.integer()) throw Failure(fmt::format("a test of {} needs an integer", value.type_name()));
  return *value.integer();
}

bool is_same(const Value& a, const Value& b) {
  if (a.items() || b.items()) return a.items() == b.items();
  if (a.dict() || b.dict()) return a.dict() == b.dict();
  Budget budget;
  return std::string_view(a.type_name()) == b.type_name() && equal(a, b, budget);
}

template <bool (*holds)(int)>
bool ordered(Interpreter& i, const Value& v, const Arguments& a) {
  return holds(compare(v, operand(a), i.budget()));
}
bool is_less(int order) { return order < 0; }
bool is_less_or_equal(int order) { return order <= 0; }
bool is_greater(int order) { return order > 0; }
bool is_greater_or_equal(int order) { return order >= 0; }

bool is_equal(Interpreter& i, const Value& v, const Arguments& a) { return equal(v, operand(a), i.budget()); }
bool is_unequal(Interpreter& i, const Value& v, const Arguments& a) {
  return !equal(v, operand(a), i.budget());
}

bool has_length(const Value& v) { return v.string() || v.items() || v.dict() || v.is_undefined(); }

bool has_case(const std::string& text) { return lower(text) != upper(text); }

bool is_divisible(Interpreter&, const Value& v, const Arguments& a) {
  const int64_t by = integer_of(operand(a));
  if (by == 0) throw Failure("division by zero");
  return by == -1 || integer_of(v) % by == 0;
}

const std::unordered_map<std::string_view, Predicate>& predicates() {
  using I = Interpreter;
  using V = const Value;
  using A = const Arguments;
  static const std::unordered_map<std::string_view, Predicate> all = {
      {"defined", [](I&, V& v, A&) { return !v.is_undefined(); }},
      {"undefined", [](I&, V& v, A&) { return v.is_undefined(); }},
      {"none", [](I&, V& v, A&) { return v.is_none(); }},
      {"string", [](I&, V& v, A&) { return v.string() != nullptr; }},
      {"mapping", [](I&, V& v, A&) { return v.dict() != nullptr; }},
      {"iterable", [](I&, V& v, A&) { return has_length(v); }},
      {"sequence", [](I&, V& v, A&) { return has_length(v); }},
      {"number", [](I&, V& v, A&) { return v.is_number(); }},
      {"integer", [](I&, V& v, A&) { return v.integer() && !v.is_bool(); }},
      {"float", [](I&, V& v, A&) { return v.is_float(); }},
      {"boolean", [](I&, V& v, A&) { return v.is_bool(); }},
      {"true", [](I&, V& v, A&) { return v.is_bool() && v.truthy(); }},
      {"false", [](I&, V& v, A&) { return v.is_bool() && !v.truthy(); }},
      {"callable", [](I&, V& v, A&) { return v.function() != nullptr; }},
      {"odd", [](I&, V& v, A&) { return integer_of(v) % 2 != 0; }},
      {"even", [](I&, V& v, A&) { return integer_of(v) % 2 == 0; }},
      {"divisibleby", is_divisible},
      {"in", [](I& i, V& v, A& a) { return contains(operand(a), v, i.budget()); }},
      {"sameas", [](I&, V& v, A& a) { return is_same(v, operand(a)); }},
      {"lower",
       [](I&, V& v, A&) { return v.string() && lower(*v.string()) == *v.string() && has_case(*v.string()); }},
      {"upper",
       [](I&, V& v, A&) { return v.string() && upper(*v.string()) == *v.string() && has_case(*v.string()); }},
      {"equalto", is_equal},
      {"eq", is_equal},
      {"==", is_equal},
      {"ne", is_unequal},
      {"!=", is_unequal},
      {"lt", ordered<is_less>},
      {"<", ordered<is_less>},
      {"lessthan", ordered<is_less>},
      {"le", ordered<is_less_or_equal>},
      {"<=", ordered<is_less_or_equal>},
      {"gt", ordered<is_greater>},
      {">", ordered<is_greater>},
      {"greaterthan", ordered<is_greater>},
      {"ge", ordered<is_greater_or_equal>},
      {">=", ordered<is_greater_or_equal>},
  };
  return all;
}

}  // namespace

bool apply_test(Interpreter& interpreter, const std::string& name, const Value& input,
                const Arguments& arguments) {
  const auto it = predicates().find(name);
  if (it == predicates().end()) throw Failure(fmt::format("test \"{}\" is not supported", name));
  return it->second(interpreter, input, arguments);
}

}  // namespace aquatint::text::jinja
