#include "text/jinja/program.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"
#include "text/jinja/print.h"

namespace aquatint::text::jinja {
namespace {

using nlohmann::ordered_json;

std::string text_of(Interpreter& interpreter, const Body& body) { return interpreter.run(body); }

ordered_json value_of(Interpreter& interpreter, const Body& body) {
  const Print* print = body.size() == 1 ? std::get_if<Print>(&body.front().node) : nullptr;
  if (!print) return interpreter.run(body);
  return ordered_json::parse(to_json(interpreter.print_value(*print), {}, interpreter.budget()));
}

}  // namespace

Program::Program(std::string_view source, const std::string& where, Dialect dialect)
    : where_(where), dialect_(dialect), body_(parse_template(source, where, dialect)) {}

template <class Result>
Result Program::run(const ordered_json& variables, Result (*what)(Interpreter&, const Body&)) const {
  int line = 1;
  try {
    Interpreter interpreter(variables, dialect_);
    try {
      return what(interpreter, body_);
    } catch (const Failure&) {
      line = interpreter.line();
      throw;
    }
  } catch (const Failure& failure) {
    std::string message = failure.what();
    std::replace_if(
        message.begin(), message.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    throw base::BadInput(fmt::format("{}:{}: {}", where_, line, message));
  }
}

std::string Program::render(const ordered_json& variables) const { return run(variables, &text_of); }

ordered_json Program::value(const ordered_json& variables) const { return run(variables, &value_of); }

}  // namespace aquatint::text::jinja
