#include "text/chat_template.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace aquatint::text {

struct ChatTemplate::Program {
  std::string where;
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::string_view source, const std::string& where)
    : program_(std::make_unique<Program>(Program{where, jinja::parse_template(source, where)})) {}

ChatTemplate::~ChatTemplate() = default;

std::string ChatTemplate::render(const nlohmann::ordered_json& variables) const {
  int line = 1;
  try {
    jinja::Interpreter interpreter(variables);
    try {
      return interpreter.run(program_->body);
    } catch (const jinja::Failure&) {
      line = interpreter.line();
      throw;
    }
  } catch (const jinja::Failure& failure) {
    std::string message = failure.what();
    std::replace_if(
        message.begin(), message.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    throw base::BadInput(fmt::format("{}:{}: {}", program_->where, line, message));
  }
}

}  // namespace aquatint::text
