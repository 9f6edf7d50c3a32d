// The values of a template: Python's, as far as templates can see them.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace aquatint::text::jinja {

// What goes wrong while a template runs; the interpreter adds the line.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What one rendering may spend. A node costs 1, a copied or compared element 1, sixteen bytes of a new
// string 1.
class Budget {
 public:
  void spend(size_t units) {
    if (units > left_) throw Failure("the template does too much work");
    left_ -= units;
  }
  void spend_bytes(size_t bytes) {
    if (bytes > kMaxString) throw Failure("the template makes a string that is too long");
    spend(bytes / 16);
  }
  static constexpr size_t kMaxString = size_t{64} << 20;

 private:
  size_t left_ = size_t{8} << 20;  // a second or two
};

class Value;
class Interpreter;
using List = std::vector<Value>;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;
  // The argument at `position` or named `name`; null when not given.
  const Value* find(size_t position, std::string_view name) const;
};

// Named attributes with behaviour: `namespace(…)`, `loop`.
class Object {
 public:
  virtual ~Object() = default;
  virtual Value attribute(const std::string& name) = 0;
  virtual void set_attribute(const std::string& name, Value value);  // Failure unless it can be assigned to
};

using Function = std::function<Value(Interpreter&, const Arguments&)>;

class Dict;
struct Sequence;

struct Undefined {};
struct None {};

class Value {
 public:
  Value() = default;  // undefined
  Value(None) : data_(None{}) {}
  Value(bool b) : data_(b) {}
  Value(int64_t n) : data_(n) {}
  Value(double x) : data_(x) {}
  Value(std::string s) : data_(std::make_shared<const std::string>(std::move(s))) {}
  Value(const char* s) : Value(std::string(s)) {}
  Value(std::shared_ptr<Object> object) : data_(std::move(object)) {}
  Value(Function function) : data_(std::make_shared<const Function>(std::move(function))) {}
  // Failure when containers would nest too deeply (printing and destroying them recurse).
  static Value list(List items);
  static Value tuple(List items);
  static Value dict(Dict entries);
  // Failure when it nests too deeply or holds an integer beyond 64 bits.
  static Value from_json(const nlohmann::ordered_json& json);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_bool() || is_float() || std::holds_alternative<int64_t>(data_); }
  bool is_tuple() const;
  // The value as that kind; null (nullopt) when it is another. A bool is an integer too, as in Python.
  const std::string* string() const;
  const List* items() const;  // of a list or tuple
  const Dict* dict() const;
  Object* object() const;
  const Function* function() const;
  std::optional<int64_t> integer() const;
  std::optional<double> number() const;

  bool truthy() const;
  int depth() const;
  const char* type_name() const;  // as Python names it

 private:
  std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const std::string>,
               std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>, std::shared_ptr<Object>,
               std::shared_ptr<const Function>>
      data_;
};

struct Sequence {
  List items;
  bool is_tuple;
  int depth;
};

// Strings → values in order of insertion.
class Dict {
 public:
  const Value* find(std::string_view key) const;
  void set(std::string key, Value value);
  const std::vector<std::pair<std::string, Value>>& entries() const { return entries_; }
  int depth() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const;
  };
  std::vector<std::pair<std::string, Value>> entries_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> index_;
};

bool equal(const Value& a, const Value& b, Budget& budget);
// < 0, 0, > 0; Failure when Python does not order them.
int compare(const Value& a, const Value& b, Budget& budget);
bool contains(const Value& container, const Value& item, Budget& budget);
// What a `for` goes over: elements, keys, characters; nothing for undefined. Failure for others.
List iterate(const Value& value, Budget& budget);
// Elements, entries or characters; nullopt when Python's len() refuses.
std::optional<int64_t> length(const Value& value);

}  // namespace aquatint::text::jinja
