// The parser's view of the tokens.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/jinja/lexer.h"

namespace aquatint::text::jinja {

class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, const std::string& where)
      : tokens_(std::move(tokens)), where_(where) {}

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  int line() const { return peek().line; }
  Token next() {
    Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }

  bool is(Token::Kind kind) const { return peek().kind == kind; }
  bool is_symbol(std::string_view symbol) const { return is(Token::Kind::symbol) && peek().value == symbol; }
  bool is_name(std::string_view name) const { return is(Token::Kind::name) && peek().value == name; }
  bool accept_symbol(std::string_view symbol) { return is_symbol(symbol) && (next(), true); }
  bool accept_name(std::string_view name) { return is_name(name) && (next(), true); }

  void expect_symbol(std::string_view symbol) {
    if (!accept_symbol(symbol)) unexpected(fmt::format("\"{}\"", symbol));
  }
  void expect_name(std::string_view name) {
    if (!accept_name(name)) unexpected(fmt::format("\"{}\"", name));
  }
  void expect(Token::Kind kind, const char* what) {
    if (!is(kind)) unexpected(what);
    next();
  }
  std::string expect_any_name() {
    if (!is(Token::Kind::name)) unexpected("a name");
    return next().value;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw base::BadInput(fmt::format("{}:{}: {}", where_, line(), what));
  }
  [[noreturn]] void unexpected(const std::string& wanted) const {
    static constexpr const char* kNames[] = {"text", "\"{{\"", "\"}}\"", "\"{%\"", "\"%}\""};
    const Token& token = peek();
    const auto kind = static_cast<size_t>(token.kind);
    const std::string found = token.kind == Token::Kind::end ? "the end of the template"
                              : kind < std::size(kNames)     ? kNames[kind]
                                                         : fmt::format("\"{}\"", token.value.substr(0, 40));
    fail(fmt::format("found {}, expected {}", found, wanted));
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
  const std::string& where_;
};

// Counts levels of nesting for as long as it lives.
class Nesting {
 public:
  Nesting(int& level, int limit, const TokenStream& stream) : level_(level) {
    if (++level_ > limit) stream.fail(fmt::format("nested deeper than {} levels", limit));
  }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() { --level_; }

 private:
  int& level_;
};

}  // namespace aquatint::text::jinja
