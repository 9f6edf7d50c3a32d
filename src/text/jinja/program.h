// A parsed template, ready to run.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace aquatint::text::jinja {

class Interpreter;

class Program {
 public:
  // BadInput ("where:line: …") when the template does not parse.
  Program(std::string_view source, const std::string& where, Dialect dialect);

  // BadInput ("where:line: …") when the template raises or a limit is reached.
  std::string render(const nlohmann::ordered_json& variables) const;
  // The value of a template that is one {{ expression }} and nothing else; otherwise its text.
  nlohmann::ordered_json value(const nlohmann::ordered_json& variables) const;

 private:
  template <class Result>
  Result run(const nlohmann::ordered_json& variables, Result (*what)(Interpreter&, const Body&)) const;

  std::string where_;
  Dialect dialect_;
  Body body_;
};

}  // namespace aquatint::text::jinja
