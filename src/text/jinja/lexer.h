// A template's text → tokens, with Jinja's white-space rules.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace aquatint::text::jinja {

// The settings of Jinja that templates are written for.
enum class Dialect {
  chat,  // trim_blocks and lstrip_blocks on, the newline at the very end dropped; undefined prints nothing
  document,  // white space as it stands; undefined is refused
};

struct Token {
  enum class Kind {
    text,         // between tags
    print_begin,  // {{
    print_end,
    block_begin,  // {%
    block_end,
    name,
    string,  // its value, escapes resolved
    integer,
    floating,
    symbol,  // an operator or bracket
    end,
  };
  Kind kind;
  std::string value;
  int line;
};

// BadInput (where:line: …) on what is no template.
std::vector<Token> tokenize(std::string_view source, const std::string& where, Dialect dialect);

}  // namespace aquatint::text::jinja
