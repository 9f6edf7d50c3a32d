#include "text/jinja/interpreter.h"

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/loop.h"
#include "text/jinja/print.h"

namespace aquatint::text::jinja {
namespace {

constexpr int kMaxDepth = 600;  // statements and expressions under evaluation, macros included

// `namespace(…)`: what a template can assign to from inside of loops.
class Namespace final : public Object {
 public:
  Value attribute(const std::string& name) override {
    const Value* value = fields_.find(name);
    return value ? *value : Value();
  }
  void set_attribute(const std::string& name, Value value) override {
    if (name.starts_with('_')) throw Failure("attributes of a namespace must not start with _");
    fields_.set(name, std::move(value));
  }
  void clear() { fields_ = Dict(); }

 private:
  Dict fields_;
};

// "x is undefined", with a name where the expression is one.
std::string undefined_message(const Expression& expression) {
  if (const auto* name = std::get_if<Name>(&expression.node))
    return fmt::format("\"{}\" is undefined", name->name);
  if (const auto* attribute = std::get_if<Attribute>(&expression.node))
    return fmt::format("\"{}\" is undefined", attribute->name);
  return "a value is undefined";
}

}  // namespace

class Interpreter::Depth {
 public:
  explicit Depth(Interpreter& interpreter) : depth_(interpreter.depth_) {
    interpreter.budget_.spend(1);
    if (depth_ >= kMaxDepth) throw Failure("the template nests too deeply");
    ++depth_;
  }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  ~Depth() { --depth_; }

 private:
  int& depth_;
};

const Value* Scope::find(const std::string& name) const {
  const auto it = variables_.find(name);
  if (it != variables_.end()) return &it->second;
  return parent_ ? parent_->find(name) : nullptr;
}

Interpreter::Interpreter(const nlohmann::ordered_json& variables, Dialect dialect)
    : dialect_(dialect), globals_(std::make_shared<Scope>(nullptr)) {
  for (auto it = variables.begin(); it != variables.end(); ++it)
    globals_->set(it.key(), Value::from_json(*it));
}

Interpreter::~Interpreter() {
  // Namespaces may refer to one another in a circle or a long chain: taken apart one by one.
  for (const auto& each : namespaces_) static_cast<Namespace&>(*each).clear();
}

std::string Interpreter::run(const Body& body) {
  std::string out;
  execute(body, std::make_shared<Scope>(globals_), out);
  return out;
}

Value Interpreter::make_namespace(const Arguments& arguments) {
  auto made = std::make_shared<Namespace>();
  for (const Value& source : arguments.positional) {
    if (!source.dict()) throw Failure(fmt::format("namespace() of {}", source.type_name()));
    for (const auto& [key, value] : source.dict()->entries()) made->set_attribute(key, value);
  }
  for (const auto& [key, value] : arguments.keyword) made->set_attribute(key, value);
  budget_.spend(64);
  namespaces_.push_back(made);
  return Value(std::shared_ptr<Object>(made));
}

Value Interpreter::print_value(const Print& print) {
  return printed(print, std::make_shared<Scope>(globals_));
}

Value Interpreter::printed(const Print& print, const ScopePtr& scope) {
  Value value = evaluate(*print.expression, scope);
  if (dialect_ == Dialect::document && value.is_undefined())
    throw Failure(undefined_message(*print.expression));
  return value;
}

void Interpreter::emit(const std::string& text, std::string& out) {
  budget_.spend_bytes(out.size() + text.size() > Budget::kMaxString ? Budget::kMaxString + 1 : text.size());
  out += text;
}

Interpreter::Flow Interpreter::execute(const Body& body, const ScopePtr& scope, std::string& out) {
  for (const Statement& statement : body)
    if (const Flow flow = execute(statement, scope, out); flow != Flow::normal) return flow;
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, const ScopePtr& scope, std::string& out) {
  const Depth depth(*this);
  line_ = statement.line;
  if (const auto* text = std::get_if<Text>(&statement.node)) {
    emit(text->text, out);
  } else if (const auto* print = std::get_if<Print>(&statement.node)) {
    emit(to_string(printed(*print, scope), budget_), out);
  } else if (const auto* branch = std::get_if<If>(&statement.node)) {
    return run_if(*branch, scope, out);
  } else if (const auto* loop = std::get_if<For>(&statement.node)) {
    return run_for(*loop, scope, out);
  } else if (const auto* set = std::get_if<Set>(&statement.node)) {
    assign(set->target, evaluate(*set->value, scope), *scope);
  } else if (const auto* capture = std::get_if<Capture>(&statement.node)) {
    run_capture(*capture, scope, out);
  } else if (const auto* macro = std::get_if<Macro>(&statement.node)) {
    define_macro(*macro, scope);
  } else if (const auto* scoped = std::get_if<Scoped>(&statement.node)) {
    return run_scoped(*scoped, scope, out);
  } else {
    return std::holds_alternative<Break>(statement.node) ? Flow::broke : Flow::continued;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_if(const If& node, const ScopePtr& scope, std::string& out) {
  for (const auto& [condition, body] : node.branches)
    if (evaluate(*condition, scope).truthy()) return execute(body, scope, out);
  return execute(node.otherwise, scope, out);
}

Interpreter::Flow Interpreter::run_for(const For& node, const ScopePtr& scope, std::string& out) {
  List source = iterate(evaluate(*node.iterable, scope), budget_);
  const auto passes = [&](const Value& item) {
    if (!node.condition) return true;
    const auto inner = std::make_shared<Scope>(scope);
    assign(node.target, item, *inner);
    return evaluate(*node.condition, inner).truthy();
  };
  const auto loop = std::make_shared<LoopState>(std::move(source), passes);
  const LoopState::Finish finish(*loop);
  // As Jinja has it: `else` runs unless some round came to the end of the body.
  bool completed = false;
  while (loop->advance()) {
    budget_.spend(4);  // for the scope
    const auto inner = std::make_shared<Scope>(scope);
    inner->set("loop", Value(std::shared_ptr<Object>(loop)));
    assign(node.target, loop->current(), *inner);
    const Flow flow = execute(node.body, inner, out);
    if (flow == Flow::broke) break;
    if (flow == Flow::normal) completed = true;
  }
  if (completed) return Flow::normal;
  return execute(node.otherwise, std::make_shared<Scope>(scope), out);
}

Interpreter::Flow Interpreter::run_scoped(const Scoped& node, const ScopePtr& scope, std::string& out) {
  const auto inner = std::make_shared<Scope>(scope);
  for (const auto& [name, value] : node.variables) inner->set(name, evaluate(*value, scope));
  return execute(node.body, inner, out);
}

void Interpreter::run_capture(const Capture& node, const ScopePtr& scope, std::string& out) {
  std::string text;
  execute(node.body, std::make_shared<Scope>(scope), text);
  Value value(std::move(text));
  if (node.filters) {
    const auto inner = std::make_shared<Scope>(scope);
    inner->set(kCaptured, std::move(value));
    value = evaluate(*node.filters, inner);
  }
  if (node.target)
    assign(*node.target, std::move(value), *scope);
  else
    emit(to_string(value, budget_), out);
}

void Interpreter::define_macro(const Macro& node, const ScopePtr& scope) {
  budget_.spend(64);
  // The scope holds the macro, so the macro must not hold the scope: it knows its position only.
  if (definitions_.empty() || definitions_.back() != scope) definitions_.push_back(scope);
  const size_t position = definitions_.size() - 1;
  scope->set(node.name,
             Value(Function([&node, position](Interpreter& interpreter, const Arguments& arguments) {
               const ScopePtr definition = interpreter.definitions_[position];
               return interpreter.call_macro(node, definition, arguments);
             })));
}

Value Interpreter::call_macro(const Macro& node, const ScopePtr& definition, const Arguments& arguments) {
  if (arguments.positional.size() > node.parameters.size())
    throw Failure(fmt::format("macro \"{}\" takes at most {} arguments, got {}", node.name,
                              node.parameters.size(), arguments.positional.size()));
  for (const auto& [name, value] : arguments.keyword) {
    size_t position = 0;
    while (position < node.parameters.size() && node.parameters[position].first != name) ++position;
    if (position == node.parameters.size() || position < arguments.positional.size())
      throw Failure(fmt::format("macro \"{}\" takes no further argument \"{}\"", node.name, name));
  }
  const auto scope = std::make_shared<Scope>(definition);
  for (size_t i = 0; i < node.parameters.size(); ++i) {
    const auto& [name, otherwise] = node.parameters[i];
    const Value* given = arguments.find(i, name);
    scope->set(name, given ? *given : otherwise ? evaluate(*otherwise, scope) : Value());
  }
  std::string out;
  execute(node.body, scope, out);
  return out;
}

void Interpreter::assign(const Target& target, Value value, Scope& scope) {
  if (!target.attribute.empty()) {
    const Value* owner = scope.find(target.names[0]);
    if (!owner || !owner->object()) throw Failure(fmt::format("\"{}\" is no namespace", target.names[0]));
    return owner->object()->set_attribute(target.attribute, std::move(value));
  }
  if (!target.unpacks) return scope.set(target.names[0], std::move(value));
  List items = iterate(value, budget_);
  if (items.size() != target.names.size())
    throw Failure(fmt::format("{} values for {} names", items.size(), target.names.size()));
  for (size_t i = 0; i < items.size(); ++i) scope.set(target.names[i], std::move(items[i]));
}

Value Interpreter::call(const Value& function, const Arguments& arguments) {
  const Depth depth(*this);
  if (!function.function()) throw Failure(fmt::format("{} cannot be called", function.type_name()));
  return (*function.function())(*this, arguments);
}

Value Interpreter::evaluate(const Expression& expression, const ScopePtr& scope) {
  const Depth depth(*this);
  line_ = expression.line;
  return std::visit([&](const auto& node) { return evaluate_node(node, scope); }, expression.node);
}

Value Interpreter::evaluate_node(const Literal& node, const ScopePtr&) { return node.value; }

Value Interpreter::evaluate_node(const Name& node, const ScopePtr& scope) {
  const Value* value = scope->find(node.name);
  return value ? *value : find_global(node.name);
}

Value Interpreter::evaluate_node(const ListDisplay& node, const ScopePtr& scope) {
  List items;
  for (const auto& item : node.items) items.push_back(evaluate(*item, scope));
  return node.is_tuple ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

Value Interpreter::evaluate_node(const DictDisplay& node, const ScopePtr& scope) {
  Dict dict;
  for (const auto& [key_node, value_node] : node.entries) {
    const Value key = evaluate(*key_node, scope);
    if (!key.string()) throw Failure(fmt::format("a dict key is {}, expected a string", key.type_name()));
    dict.set(*key.string(), evaluate(*value_node, scope));
  }
  return Value::dict(std::move(dict));
}

Value Interpreter::evaluate_node(const Unary& node, const ScopePtr& scope) {
  const Value value = evaluate(*node.operand, scope);
  if (node.op == "not") return !value.truthy();
  return node.op == "-" ? negate(value) : negate(negate(value));
}

Value Interpreter::evaluate_node(const Binary& node, const ScopePtr& scope) {
  Value left = evaluate(*node.left, scope);
  if (node.op == "and" || node.op == "or")
    return left.truthy() == (node.op == "or") ? left : evaluate(*node.right, scope);
  const Value right = evaluate(*node.right, scope);
  if (node.op != "~") {
    if (left.is_undefined()) throw Failure(undefined_message(*node.left));
    if (right.is_undefined()) throw Failure(undefined_message(*node.right));
  }
  return apply_operator(node.op, left, right, budget_);
}

Value Interpreter::evaluate_node(const Comparison& node, const ScopePtr& scope) {
  Value left = evaluate(*node.first, scope);
  for (const auto& [op, right_node] : node.rest) {
    Value right = evaluate(*right_node, scope);
    bool holds;
    if (op == "==" || op == "!=")
      holds = equal(left, right, budget_) == (op == "==");
    else if (op == "in" || op == "not in")
      holds = contains(right, left, budget_) == (op == "in");
    else if (op == "<" || op == ">=")
      holds = (compare(left, right, budget_) < 0) == (op == "<");
    else
      holds = (compare(left, right, budget_) > 0) == (op == ">");
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluate_node(const Conditional& node, const ScopePtr& scope) {
  if (evaluate(*node.test, scope).truthy()) return evaluate(*node.yes, scope);
  return node.no ? evaluate(*node.no, scope) : Value();
}

Value Interpreter::evaluate_node(const Attribute& node, const ScopePtr& scope) {
  const Value object = evaluate(*node.object, scope);
  if (object.is_undefined()) throw Failure(undefined_message(*node.object));
  return get_attribute(*this, object, node.name);
}

Value Interpreter::evaluate_node(const Item& node, const ScopePtr& scope) {
  const Value object = evaluate(*node.object, scope);
  if (object.is_undefined()) throw Failure(undefined_message(*node.object));
  return get_item(*this, object, evaluate(*node.index, scope));
}

Value Interpreter::evaluate_node(const Slice& node, const ScopePtr& scope) {
  const Value object = evaluate(*node.object, scope);
  if (object.is_undefined()) throw Failure(undefined_message(*node.object));
  const auto part = [&](const ExpressionPtr& expression) {
    return expression ? evaluate(*expression, scope) : Value(None{});
  };
  const Value start = part(node.start), stop = part(node.stop), step = part(node.step);
  return slice(object, start, stop, step, budget_);
}

Value Interpreter::evaluate_node(const Call& node, const ScopePtr& scope) {
  const Value function = evaluate(*node.function, scope);
  if (function.is_undefined()) throw Failure(undefined_message(*node.function));
  return call(function, evaluate_arguments(node.arguments, scope));
}

Value Interpreter::evaluate_node(const Filter& node, const ScopePtr& scope) {
  const Value input = evaluate(*node.input, scope);
  const bool takes_undefined = node.name == "default" || node.name == "d";
  if (dialect_ == Dialect::document && input.is_undefined() && !takes_undefined)
    throw Failure(undefined_message(*node.input));
  return apply_filter(*this, node.name, input, evaluate_arguments(node.arguments, scope));
}

Value Interpreter::evaluate_node(const Test& node, const ScopePtr& scope) {
  const Value input = evaluate(*node.input, scope);
  return apply_test(*this, node.name, input, evaluate_arguments(node.arguments, scope)) != node.negated;
}

Arguments Interpreter::evaluate_arguments(const CallArguments& arguments, const ScopePtr& scope) {
  Arguments out;
  for (const auto& each : arguments.positional) out.positional.push_back(evaluate(*each, scope));
  for (const auto& [name, each] : arguments.keyword) out.keyword.emplace_back(name, evaluate(*each, scope));
  return out;
}

}  // namespace aquatint::text::jinja
