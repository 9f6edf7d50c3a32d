// Runs a parsed template. It reaches nothing but its variables, and stops at limits on work, output and
// depth.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace aquatint::text::jinja {

class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> parent) : parent_(std::move(parent)) {}
  const Value* find(const std::string& name) const;
  void set(const std::string& name, Value value) { variables_[name] = std::move(value); }

 private:
  std::shared_ptr<Scope> parent_;
  std::unordered_map<std::string, Value> variables_;
};
using ScopePtr = std::shared_ptr<Scope>;

class LoopState;

class Interpreter {
 public:
  Interpreter(const nlohmann::ordered_json& variables, Dialect dialect);
  ~Interpreter();

  // Failure when the template raises or a limit is reached; line() then says where.
  std::string run(const Body& body);  // once
  // What a template that is nothing else prints; the same failures.
  Value print_value(const Print& print);
  int line() const { return line_; }
  Budget& budget() { return budget_; }

  Value evaluate(const Expression& expression, const ScopePtr& scope);
  Value call(const Value& function, const Arguments& arguments);
  // A namespace that lives as long as the interpreter (so that references in a circle do not leak).
  Value make_namespace(const Arguments& arguments);

 private:
  enum class Flow { normal, broke, continued };
  class Depth;

  Value printed(const Print& print, const ScopePtr& scope);
  Flow execute(const Body& body, const ScopePtr& scope, std::string& out);
  Flow execute(const Statement& statement, const ScopePtr& scope, std::string& out);
  Flow run_if(const If& node, const ScopePtr& scope, std::string& out);
  Flow run_for(const For& node, const ScopePtr& scope, std::string& out);
  Flow run_scoped(const Scoped& node, const ScopePtr& scope, std::string& out);
  void run_capture(const Capture& node, const ScopePtr& scope, std::string& out);
  void define_macro(const Macro& node, const ScopePtr& scope);
  Value call_macro(const Macro& node, const ScopePtr& definition, const Arguments& arguments);
  void assign(const Target& target, Value value, Scope& scope);
  void emit(const std::string& text, std::string& out);

  Value evaluate_node(const Literal& node, const ScopePtr& scope);
  Value evaluate_node(const Name& node, const ScopePtr& scope);
  Value evaluate_node(const ListDisplay& node, const ScopePtr& scope);
  Value evaluate_node(const DictDisplay& node, const ScopePtr& scope);
  Value evaluate_node(const Unary& node, const ScopePtr& scope);
  Value evaluate_node(const Binary& node, const ScopePtr& scope);
  Value evaluate_node(const Comparison& node, const ScopePtr& scope);
  Value evaluate_node(const Conditional& node, const ScopePtr& scope);
  Value evaluate_node(const Attribute& node, const ScopePtr& scope);
  Value evaluate_node(const Item& node, const ScopePtr& scope);
  Value evaluate_node(const Slice& node, const ScopePtr& scope);
  Value evaluate_node(const Call& node, const ScopePtr& scope);
  Value evaluate_node(const Filter& node, const ScopePtr& scope);
  Value evaluate_node(const Test& node, const ScopePtr& scope);
  Arguments evaluate_arguments(const CallArguments& arguments, const ScopePtr& scope);

  friend class LoopState;
  const Dialect dialect_;
  Budget budget_;
  int line_ = 1, depth_ = 0;
  ScopePtr globals_;
  std::vector<ScopePtr> definitions_;  // scopes that macros were defined in; macros name them by position
  std::vector<std::shared_ptr<Object>> namespaces_;
};

}  // namespace aquatint::text::jinja
