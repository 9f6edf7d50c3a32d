#include <ctime>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/unicode.h"

namespace aquatint::text::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // Jinja's own sandbox has this limit

Value range(Interpreter& interpreter, const Arguments& arguments) {
  const size_t given = arguments.positional.size();
  if (given < 1 || given > 3) throw Failure("range() takes one to three integers");
  for (const Value& value : arguments.positional)
    if (!value.integer()) throw Failure(fmt::format("range() of {}", value.type_name()));
  const int64_t start = given == 1 ? 0 : *arguments.positional[0].integer();
  const int64_t stop = *arguments.positional[given == 1 ? 0 : 1].integer();
  const int64_t step = given == 3 ? *arguments.positional[2].integer() : 1;
  if (step == 0) throw Failure("range() with a step of 0");
  List items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) == kMaxRange)
      throw Failure(fmt::format("range() of more than {} numbers", kMaxRange));
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  interpreter.budget().spend(items.size());
  return Value::list(std::move(items));
}

Value make_dict(Interpreter& interpreter, const Arguments& arguments) {
  Dict out;
  for (const Value& source : arguments.positional) {
    if (!source.dict()) throw Failure(fmt::format("dict() of {}", source.type_name()));
    interpreter.budget().spend(source.dict()->entries().size());
    out = *source.dict();
  }
  for (const auto& [key, value] : arguments.keyword) out.set(key, value);
  return Value::dict(std::move(out));
}

Value raise_exception(Interpreter& interpreter, const Arguments& arguments) {
  const Value* message = arguments.find(0, "message");
  throw Failure("the template refuses: " + (message ? to_string(*message, interpreter.budget()) : ""));
}

// The local date and time, in the form of C's strftime.
Value strftime_now(Interpreter&, const Arguments& arguments) {
  const std::string& format = string_argument(arguments, 0, "format");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char buffer[1024];
  const size_t size = std::strftime(buffer, sizeof buffer, format.c_str(), &local);
  if (size == 0 && !format.empty()) throw Failure("strftime_now() gives nothing, or too much");
  return replace_invalid_utf8(std::string_view(buffer, size));
}

}  // namespace

Value find_global(const std::string& name) {
  if (name == "range") return Value(Function(range));
  if (name == "dict") return Value(Function(make_dict));
  if (name == "raise_exception") return Value(Function(raise_exception));
  if (name == "strftime_now") return Value(Function(strftime_now));
  if (name == "namespace")
    return Value(Function([](Interpreter& interpreter, const Arguments& arguments) {
      return interpreter.make_namespace(arguments);
    }));
  return Value();
}

}  // namespace aquatint::text::jinja
