// A parsed template.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/value.h"

namespace aquatint::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> keyword;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListDisplay {
  std::vector<ExpressionPtr> items;
  bool is_tuple;
};
struct DictDisplay {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct Unary {
  std::string op;  // - + not
  ExpressionPtr operand;
};
struct Binary {
  std::string op;  // + - * / // % ** ~ and or
  ExpressionPtr left, right;
};
struct Comparison {  // a < b <= c: each neighbour pair must hold
  ExpressionPtr first;
  std::vector<std::pair<std::string, ExpressionPtr>> rest;  // op: == != < > <= >= in, "not in"
};
struct Conditional {
  ExpressionPtr test, yes, no;  // no: may be null
};
struct Attribute {
  ExpressionPtr object;
  std::string name;
};
struct Item {
  ExpressionPtr object, index;
};
struct Slice {
  ExpressionPtr object, start, stop, step;  // the last three may be null
};
struct Call {
  ExpressionPtr function;
  CallArguments arguments;
};
struct Filter {
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
};
struct Test {
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
  bool negated;
};

struct Expression {
  int line;
  int depth;  // 1 for a leaf
  std::variant<Literal, Name, ListDisplay, DictDisplay, Unary, Binary, Comparison, Conditional, Attribute,
               Item, Slice, Call, Filter, Test>
      node;
};

struct Statement;
using Body = std::vector<Statement>;

// What is assigned to: a name, several, or one attribute of a namespace.
struct Target {
  std::vector<std::string> names;
  bool unpacks = false;   // several names, or one followed by a comma
  std::string attribute;  // of names[0], when not empty
};

struct Text {
  std::string text;
};
struct Print {
  ExpressionPtr expression;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct For {
  Target target;
  ExpressionPtr iterable, condition;  // condition: may be null
  Body body, otherwise;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
// The text that `body` makes, through `filters` (null: none; they read it under the name kCaptured), is
// assigned to `target`, or printed when there is none.
struct Capture {
  std::optional<Target> target;
  ExpressionPtr filters;
  Body body;
};
struct Macro {
  std::string name;
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;  // default: may be null
  Body body;
};
struct Scoped {  // {% with %}, {% generation %}
  std::vector<std::pair<std::string, ExpressionPtr>> variables;
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line;
  std::variant<Text, Print, If, For, Set, Capture, Macro, Scoped, Break, Continue> node;
};

inline constexpr const char* kCaptured = " captured";  // no template can write this name

}  // namespace aquatint::text::jinja
