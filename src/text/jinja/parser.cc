#include "text/jinja/parser.h"

#include <initializer_list>

#include "text/jinja/expression_parser.h"

namespace aquatint::text::jinja {
namespace {

using Kind = Token::Kind;
using Names = std::initializer_list<std::string_view>;

class Parser {
 public:
  Parser(std::vector<Token> tokens, const std::string& where)
      : s_(std::move(tokens), where), expressions_(s_) {}

  Body run() { return body({}); }

 private:
  // Statements up to a block whose name is in `ends`; the stream is left at that name. Without `ends`, to the
  // end.
  Body body(Names ends) {
    const Nesting nesting(level_, kMaxNesting, s_);
    Body out;
    while (!s_.is(Kind::end)) {
      const int line = s_.line();
      if (s_.is(Kind::text)) {
        out.push_back({line, Text{s_.next().value}});
      } else if (s_.is(Kind::print_begin)) {
        s_.next();
        out.push_back({line, Print{expressions_.tuple()}});
        s_.expect(Kind::print_end, "\"}}\"");
      } else {
        s_.next();  // {%
        for (const std::string_view end : ends)
          if (s_.is_name(end)) return out;
        out.push_back(block(line));
      }
    }
    if (ends.size() > 0) s_.unexpected(fmt::format("\"{{% {} %}}\"", *(ends.end() - 1)));
    return out;
  }

  void end_of_block() { s_.expect(Kind::block_end, "\"%}\""); }

  Body body_until(std::string_view end) {
    Body out = body({end});
    s_.next();
    end_of_block();
    return out;
  }

  // The same for a body whose text is captured: a loop around it cannot be left from inside.
  Body captured_body(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    Body out = body_until(end);
    loops_ = loops;
    return out;
  }

  Statement block(int line) {
    const std::string name = s_.expect_any_name();
    if (name == "if") return {line, if_block()};
    if (name == "for") return {line, for_block()};
    if (name == "set") return set_block(line);
    if (name == "macro") return {line, macro_block()};
    if (name == "filter") return {line, filter_block()};
    if (name == "with") return {line, with_block()};
    if (name == "generation") {
      end_of_block();
      return {line, Scoped{{}, captured_body("endgeneration")}};
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) s_.fail(fmt::format("\"{}\" outside of a loop", name));
      end_of_block();
      return name == "break" ? Statement{line, Break{}} : Statement{line, Continue{}};
    }
    s_.fail(fmt::format("block \"{}\" is not supported here", name.substr(0, 40)));
  }

  If if_block() {
    If out;
    while (true) {
      ExpressionPtr condition = expressions_.tuple(false);
      end_of_block();
      out.branches.emplace_back(std::move(condition), body({"elif", "else", "endif"}));
      if (s_.accept_name("elif")) continue;
      if (s_.accept_name("else")) {
        end_of_block();
        out.otherwise = body({"endif"});
      }
      s_.expect_name("endif");
      end_of_block();
      return out;
    }
  }

  For for_block() {
    For out;
    out.target = target(false);
    s_.expect_name("in");
    out.iterable = expressions_.tuple(false);
    if (s_.accept_name("if")) out.condition = expressions_.expression();
    if (s_.is_name("recursive")) s_.fail("recursive loops are not supported");
    end_of_block();
    ++loops_;
    out.body = body({"else", "endfor"});
    --loops_;
    if (s_.accept_name("else")) {
      end_of_block();
      out.otherwise = body({"endfor"});
    }
    s_.expect_name("endfor");
    end_of_block();
    return out;
  }

  Target target(bool may_be_attribute) {
    Target out;
    const bool parenthesized = s_.accept_symbol("(");
    out.names.push_back(s_.expect_any_name());
    if (may_be_attribute && !parenthesized && s_.accept_symbol(".")) {
      out.attribute = s_.expect_any_name();
      return out;
    }
    while (s_.accept_symbol(",")) {
      out.unpacks = true;
      if (!s_.is(Kind::name) || s_.is_name("in")) break;
      out.names.push_back(s_.expect_any_name());
    }
    if (parenthesized) s_.expect_symbol(")");
    return out;
  }

  Statement set_block(int line) {
    Target to = target(true);
    if (s_.accept_symbol("=")) {
      ExpressionPtr value = expressions_.tuple();
      end_of_block();
      return {line, Set{std::move(to), std::move(value)}};
    }
    ExpressionPtr filters;
    if (s_.is_symbol("|")) filters = expressions_.filters(captured(line));
    end_of_block();
    return {line, Capture{std::move(to), std::move(filters), captured_body("endset")}};
  }

  static ExpressionPtr captured(int line) {
    return std::make_unique<Expression>(Expression{line, 1, Name{kCaptured}});
  }

  Capture filter_block() {
    ExpressionPtr filters = expressions_.filters(expressions_.filter(captured(s_.line())));
    end_of_block();
    return {std::nullopt, std::move(filters), captured_body("endfilter")};
  }

  Scoped with_block() {
    Scoped out;
    while (!s_.is(Kind::block_end)) {
      if (!out.variables.empty()) s_.expect_symbol(",");
      std::string name = s_.expect_any_name();
      s_.expect_symbol("=");
      out.variables.emplace_back(std::move(name), expressions_.expression());
    }
    end_of_block();
    out.body = body_until("endwith");
    return out;
  }

  Macro macro_block() {
    Macro out;
    out.name = s_.expect_any_name();
    s_.expect_symbol("(");
    while (!s_.is_symbol(")")) {
      if (!out.parameters.empty()) s_.expect_symbol(",");
      if (s_.is_symbol(")")) break;
      std::string name = s_.expect_any_name();
      ExpressionPtr otherwise = s_.accept_symbol("=") ? expressions_.expression() : nullptr;
      if (!otherwise && !out.parameters.empty() && out.parameters.back().second)
        s_.fail("a parameter without a default follows one with a default");
      out.parameters.emplace_back(std::move(name), std::move(otherwise));
    }
    s_.expect_symbol(")");
    end_of_block();
    out.body = captured_body("endmacro");
    return out;
  }

  TokenStream s_;
  ExpressionParser expressions_;
  int level_ = 0, loops_ = 0;
};

}  // namespace

Body parse_template(std::string_view source, const std::string& where, Dialect dialect) {
  return Parser(tokenize(source, where, dialect), where).run();
}

}  // namespace aquatint::text::jinja
