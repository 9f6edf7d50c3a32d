#include "text/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>

#include "text/jinja/parser.h"

namespace aquatint::text::jinja {

using Kind = Token::Kind;

namespace {

// Depth of the deepest child.
class ChildDepth {
 public:
  void operator()(const Literal&) {}
  void operator()(const Name&) {}
  void operator()(const ListDisplay& n) { all(n.items); }
  void operator()(const DictDisplay& n) {
    for (const auto& [key, value] : n.entries) see(key), see(value);
  }
  void operator()(const Unary& n) { see(n.operand); }
  void operator()(const Binary& n) { see(n.left), see(n.right); }
  void operator()(const Comparison& n) {
    see(n.first);
    for (const auto& [op, right] : n.rest) see(right);
  }
  void operator()(const Conditional& n) { see(n.test), see(n.yes), see(n.no); }
  void operator()(const Attribute& n) { see(n.object); }
  void operator()(const Item& n) { see(n.object), see(n.index); }
  void operator()(const Slice& n) { see(n.object), see(n.start), see(n.stop), see(n.step); }
  void operator()(const Call& n) { see(n.function), all(n.arguments); }
  void operator()(const Filter& n) { see(n.input), all(n.arguments); }
  void operator()(const Test& n) { see(n.input), all(n.arguments); }
  int depth = 0;

 private:
  void see(const ExpressionPtr& child) {
    if (child) depth = std::max(depth, child->depth);
  }
  void all(const std::vector<ExpressionPtr>& children) {
    for (const auto& child : children) see(child);
  }
  void all(const CallArguments& arguments) {
    all(arguments.positional);
    for (const auto& [name, value] : arguments.keyword) see(value);
  }
};

}  // namespace

ExpressionPtr ExpressionParser::make(int line, decltype(Expression::node) node) const {
  ChildDepth children;
  std::visit(children, node);
  if (children.depth >= kMaxNesting)
    s_.fail(fmt::format("an expression more than {} levels deep", kMaxNesting));
  return std::make_unique<Expression>(Expression{line, children.depth + 1, std::move(node)});
}

ExpressionPtr ExpressionParser::tuple(bool with_condition) {
  const int line = s_.line();
  const auto ends = [&] {
    return s_.is(Kind::print_end) || s_.is(Kind::block_end) || s_.is_symbol(")") || s_.is_name("in") ||
           s_.is_symbol("=");
  };
  std::vector<ExpressionPtr> items;
  items.push_back(expression(with_condition));
  if (!s_.is_symbol(",")) return std::move(items[0]);
  while (s_.accept_symbol(",") && !ends()) items.push_back(expression(with_condition));
  return make(line, ListDisplay{std::move(items), true});
}

ExpressionPtr ExpressionParser::expression(bool with_condition) {
  const Nesting nesting(level_, kMaxNesting, s_);
  const int line = s_.line();
  ExpressionPtr yes = either();
  while (with_condition && s_.accept_name("if")) {
    ExpressionPtr test = either();
    ExpressionPtr no = s_.accept_name("else") ? expression() : nullptr;
    yes = make(line, Conditional{std::move(test), std::move(yes), std::move(no)});
  }
  return yes;
}

ExpressionPtr ExpressionParser::either() {
  const int line = s_.line();
  ExpressionPtr left = both();
  while (s_.accept_name("or")) left = make(line, Binary{"or", std::move(left), both()});
  return left;
}

ExpressionPtr ExpressionParser::both() {
  const int line = s_.line();
  ExpressionPtr left = negation();
  while (s_.accept_name("and")) left = make(line, Binary{"and", std::move(left), negation()});
  return left;
}

ExpressionPtr ExpressionParser::negation() {
  const Nesting nesting(level_, kMaxNesting, s_);
  const int line = s_.line();
  if (s_.accept_name("not")) return make(line, Unary{"not", negation()});
  return comparison();
}

ExpressionPtr ExpressionParser::comparison() {
  const int line = s_.line();
  ExpressionPtr first = sum();
  std::vector<std::pair<std::string, ExpressionPtr>> rest;
  while (true) {
    std::string op;
    if (s_.is(Kind::symbol)) {
      for (const char* symbol : {"==", "!=", "<=", ">=", "<", ">"})
        if (s_.is_symbol(symbol)) op = symbol;
      if (!op.empty()) s_.next();
    } else if (s_.accept_name("in")) {
      op = "in";
    } else if (s_.is_name("not") && s_.peek(1).kind == Kind::name && s_.peek(1).value == "in") {
      s_.next();
      s_.next();
      op = "not in";
    }
    if (op.empty()) break;
    rest.emplace_back(op, sum());
  }
  if (rest.empty()) return first;
  return make(line, Comparison{std::move(first), std::move(rest)});
}

ExpressionPtr ExpressionParser::sum() {
  const int line = s_.line();
  ExpressionPtr left = concatenation();
  while (s_.is_symbol("+") || s_.is_symbol("-")) {
    const std::string op = s_.next().value;
    left = make(line, Binary{op, std::move(left), concatenation()});
  }
  return left;
}

ExpressionPtr ExpressionParser::concatenation() {
  const int line = s_.line();
  ExpressionPtr left = product();
  while (s_.accept_symbol("~")) left = make(line, Binary{"~", std::move(left), product()});
  return left;
}

ExpressionPtr ExpressionParser::product() {
  const int line = s_.line();
  ExpressionPtr left = power();
  while (s_.is_symbol("*") || s_.is_symbol("/") || s_.is_symbol("//") || s_.is_symbol("%")) {
    const std::string op = s_.next().value;
    left = make(line, Binary{op, std::move(left), power()});
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  const int line = s_.line();
  ExpressionPtr left = unary(true);
  while (s_.accept_symbol("**")) left = make(line, Binary{"**", std::move(left), unary(true)});
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const Nesting nesting(level_, kMaxNesting, s_);
  const int line = s_.line();
  ExpressionPtr result;
  if (s_.is_symbol("-") || s_.is_symbol("+")) {
    const std::string op = s_.next().value;
    result = make(line, Unary{op, unary(false)});
  } else {
    result = primary();
  }
  result = postfix(std::move(result));
  return with_filters ? filters(std::move(result)) : std::move(result);
}

ExpressionPtr ExpressionParser::primary() {
  const int line = s_.line();
  if (s_.is(Kind::name)) {
    const std::string name = s_.next().value;
    if (name == "true" || name == "True") return make(line, Literal{Value(true)});
    if (name == "false" || name == "False") return make(line, Literal{Value(false)});
    if (name == "none" || name == "None") return make(line, Literal{Value(None{})});
    return make(line, Name{name});
  }
  if (s_.is(Kind::string)) return string_literal();
  if (s_.is(Kind::integer) || s_.is(Kind::floating)) return number_literal();
  if (s_.is_symbol("[")) return list_display();
  if (s_.is_symbol("{")) return dict_display();
  if (s_.accept_symbol("(")) {
    if (s_.accept_symbol(")")) return make(line, ListDisplay{{}, true});
    ExpressionPtr inside = tuple();
    s_.expect_symbol(")");
    return inside;
  }
  s_.unexpected("an expression");
}

ExpressionPtr ExpressionParser::string_literal() {
  const int line = s_.line();
  std::string text;
  while (s_.is(Kind::string)) text += s_.next().value;  // neighbours join
  return make(line, Literal{Value(std::move(text))});
}

ExpressionPtr ExpressionParser::number_literal() {
  const int line = s_.line();
  const Token token = s_.peek();
  const char *begin = token.value.data(), *end = begin + token.value.size();
  int64_t n = 0;
  double x = 0;
  const auto read =
      token.kind == Kind::integer ? std::from_chars(begin, end, n) : std::from_chars(begin, end, x);
  if (read.ec != std::errc() || read.ptr != end)
    s_.fail(fmt::format("number {} is out of range", token.value));
  s_.next();
  return make(line, Literal{token.kind == Kind::integer ? Value(n) : Value(x)});
}

ExpressionPtr ExpressionParser::list_display() {
  const int line = s_.line();
  s_.expect_symbol("[");
  std::vector<ExpressionPtr> items;
  while (!s_.is_symbol("]")) {
    if (!items.empty()) s_.expect_symbol(",");
    if (s_.is_symbol("]")) break;
    items.push_back(expression());
  }
  s_.expect_symbol("]");
  return make(line, ListDisplay{std::move(items), false});
}

ExpressionPtr ExpressionParser::dict_display() {
  const int line = s_.line();
  s_.expect_symbol("{");
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
  while (!s_.is_symbol("}")) {
    if (!entries.empty()) s_.expect_symbol(",");
    if (s_.is_symbol("}")) break;
    ExpressionPtr key = expression();
    s_.expect_symbol(":");
    entries.emplace_back(std::move(key), expression());
  }
  s_.expect_symbol("}");
  return make(line, DictDisplay{std::move(entries)});
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr expression) {
  while (true) {
    const int line = s_.line();
    if (s_.accept_symbol("."))
      expression = attribute(std::move(expression));
    else if (s_.accept_symbol("["))
      expression = subscript(std::move(expression));
    else if (s_.is_symbol("("))
      expression = make(line, Call{std::move(expression), arguments()});
    else
      return expression;
  }
}

ExpressionPtr ExpressionParser::attribute(ExpressionPtr object) {
  const int line = s_.line();
  if (s_.is(Kind::integer)) return make(line, Item{std::move(object), number_literal()});
  return make(line, Attribute{std::move(object), s_.expect_any_name()});
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr object) {
  const int line = s_.line();
  ExpressionPtr parts[3];
  size_t colons = 0;
  while (!s_.is_symbol("]")) {
    if (s_.accept_symbol(":")) {
      if (++colons > 2) s_.fail("a slice has at most three parts");
    } else if (parts[colons]) {
      s_.unexpected("\"]\"");
    } else {
      parts[colons] = expression();
    }
  }
  if (colons == 0 && !parts[0]) s_.unexpected("an expression");
  s_.expect_symbol("]");
  if (colons == 0) return make(line, Item{std::move(object), std::move(parts[0])});
  return make(line, Slice{std::move(object), std::move(parts[0]), std::move(parts[1]), std::move(parts[2])});
}

CallArguments ExpressionParser::arguments() {
  CallArguments arguments;
  s_.expect_symbol("(");
  for (bool first = true; !s_.is_symbol(")"); first = false) {
    if (!first) s_.expect_symbol(",");
    if (s_.is_symbol(")")) break;
    if (s_.is_symbol("*") || s_.is_symbol("**")) s_.fail("* and ** in a call are not supported");
    if (s_.is(Kind::name) && s_.peek(1).kind == Kind::symbol && s_.peek(1).value == "=") {
      std::string name = s_.next().value;
      s_.next();
      arguments.keyword.emplace_back(std::move(name), expression());
    } else if (arguments.keyword.empty()) {
      arguments.positional.push_back(expression());
    } else {
      s_.fail("a positional argument follows a keyword argument");
    }
  }
  s_.expect_symbol(")");
  return arguments;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr input) {
  while (true) {
    if (s_.accept_symbol("|"))
      input = filter(std::move(input));
    else if (s_.accept_name("is"))
      input = test(std::move(input));
    else if (s_.is_symbol("("))
      input = make(s_.line(), Call{std::move(input), arguments()});
    else
      return input;
  }
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr input) {
  const int line = s_.line();
  std::string name = s_.expect_any_name();
  CallArguments given;
  if (s_.is_symbol("(")) given = arguments();
  return make(line, Filter{std::move(input), std::move(name), std::move(given)});
}

bool ExpressionParser::starts_test_argument() const {
  if (s_.is(Kind::string) || s_.is(Kind::integer) || s_.is(Kind::floating) || s_.is_symbol("[") ||
      s_.is_symbol("{"))
    return true;
  return s_.is(Kind::name) && !s_.is_name("else") && !s_.is_name("or") && !s_.is_name("and") &&
         !s_.is_name("is") && !s_.is_name("if") && !s_.is_name("in") && !s_.is_name("not");
}

ExpressionPtr ExpressionParser::test(ExpressionPtr input) {
  const int line = s_.line();
  const bool negated = s_.accept_name("not");
  std::string name = s_.expect_any_name();
  CallArguments given;
  if (s_.is_symbol("("))
    given = arguments();
  else if (starts_test_argument())
    given.positional.push_back(postfix(primary()));
  if (s_.is_name("is")) s_.fail("a test cannot be tested");
  return make(line, Test{std::move(input), std::move(name), std::move(given), negated});
}

}  // namespace aquatint::text::jinja
