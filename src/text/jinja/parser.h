// Tokens → a parsed template (Jinja's grammar, without inheritance, imports and call blocks).
#pragma once
#include <string>
#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace aquatint::text::jinja {

// BadInput (where:line: …) when the template does not parse, or nests more than kMaxNesting levels deep.
Body parse_template(std::string_view source, const std::string& where, Dialect dialect);

// Of blocks, and of expressions in one another. Bounds the stack that parsing, running and destroying a
// template take.
constexpr int kMaxNesting = 150;

}  // namespace aquatint::text::jinja
