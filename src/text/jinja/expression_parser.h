// The expression half of the parser.
#pragma once
#include "text/jinja/ast.h"
#include "text/jinja/token_stream.h"

namespace aquatint::text::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : s_(stream) {}

  ExpressionPtr expression(bool with_condition = true);
  // One expression, or several with commas between: a tuple.
  ExpressionPtr tuple(bool with_condition = true);
  // | name(…) | name … applied to `input`.
  ExpressionPtr filters(ExpressionPtr input);
  ExpressionPtr filter(ExpressionPtr input);  // the name and arguments alone

 private:
  ExpressionPtr make(int line, decltype(Expression::node) node) const;
  ExpressionPtr either();
  ExpressionPtr both();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr number_literal();
  ExpressionPtr string_literal();
  ExpressionPtr list_display();
  ExpressionPtr dict_display();
  ExpressionPtr postfix(ExpressionPtr expression);
  ExpressionPtr attribute(ExpressionPtr object);
  ExpressionPtr subscript(ExpressionPtr object);
  ExpressionPtr test(ExpressionPtr input);
  CallArguments arguments();
  bool starts_test_argument() const;

  TokenStream& s_;
  int level_ = 0;
};

}  // namespace aquatint::text::jinja
