#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace aquatint::text::jinja {
namespace {

using Kind = Token::Kind;

constexpr size_t kMaxSource = size_t{4} << 20;

// Line ends become \n, and of a chat template one at the very end goes.
std::string normalize_newlines(std::string_view source, Dialect dialect) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (dialect == Dialect::chat && out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string source, const std::string& where, Dialect dialect)
      : in_(std::move(source)), where_(where), trims_(dialect == Dialect::chat) {}

  std::vector<Token> run() {
    while (at_ < in_.size()) {
      const size_t tag = next_tag();
      text_before(tag);
      if (tag == std::string::npos) break;
      at_ = tag;
      if (in_[tag + 1] == '#')
        comment();
      else if (const size_t inside = raw_tag(tag, "raw", "-"); inside != std::string::npos)
        raw(inside);
      else
        this->tag();
    }
    add(Kind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw base::BadInput(fmt::format("{}:{}: {}", where_, line_, what));
  }

  void add(Kind kind, std::string value) { tokens_.push_back({kind, std::move(value), line_}); }

  void advance_to(size_t to) {
    line_ += static_cast<int>(std::count(in_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         in_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    if (to > at_) line_starting_ = in_[to - 1] == '\n';
    at_ = to;
  }

  size_t next_tag() const {
    for (size_t i = in_.find('{', at_); i != std::string::npos; i = in_.find('{', i + 1))
      if (i + 1 < in_.size() && (in_[i + 1] == '%' || in_[i + 1] == '{' || in_[i + 1] == '#')) return i;
    return std::string::npos;
  }

  // Emits the text up to a tag, shortened as the tag asks. `sign` is what stands after the tag's two
  // characters.
  void text_before(size_t tag) {
    if (tag == std::string::npos) {
      if (at_ < in_.size()) add(Kind::text, in_.substr(at_));
      return advance_to(in_.size());
    }
    const char sign = tag + 2 < in_.size() ? in_[tag + 2] : ' ';
    emit_text(in_.substr(at_, tag - at_), sign, in_[tag + 1] == '{');
    advance_to(tag);
  }

  void emit_text(std::string text, char sign, bool is_print) {
    if (sign == '-') {
      text = std::string(strip(text, Side::right));
    } else if (trims_ && sign != '+' && !is_print) {
      const size_t line_start = text.rfind('\n') + 1;  // 0 when there is none
      const bool blank = strip(std::string_view(text).substr(line_start), Side::both).empty();
      if ((line_start > 0 || line_starting_) && blank) text.resize(line_start);
    }
    if (!text.empty()) add(Kind::text, std::move(text));
  }

  // Where the text goes on after a tag that ends at `end` with `sign` before it.
  size_t after_tag(size_t end, char sign, bool trim) const {
    if (sign == '-') {
      const auto rest = std::string_view(in_).substr(end);
      return end + (rest.size() - strip(rest, Side::left).size());
    }
    return trim && trims_ && sign != '+' && end < in_.size() && in_[end] == '\n' ? end + 1 : end;
  }

  void comment() {
    const size_t end = in_.find("#}", at_ + 2);
    if (end == std::string::npos) fail("a comment is not closed");
    const char sign = end > at_ + 2 ? in_[end - 1] : ' ';
    advance_to(after_tag(end + 2, sign, true));
  }

  // The end of a tag {% word %} at `tag`, before white space is trimmed; npos when it is another tag.
  size_t raw_tag(size_t tag, std::string_view word, std::string_view end_signs) const {
    if (in_.compare(tag, 2, "{%") != 0) return std::string::npos;
    size_t i = tag + 2;
    if (i < in_.size() && (in_[i] == '-' || in_[i] == '+')) ++i;
    const auto skip_blanks = [&] {
      while (i < in_.size() && is_python_space(static_cast<unsigned char>(in_[i]))) ++i;
    };
    skip_blanks();
    if (in_.compare(i, word.size(), word) != 0) return std::string::npos;
    i += word.size();
    skip_blanks();
    if (i < in_.size() && end_signs.find(in_[i]) != std::string_view::npos) ++i;
    return in_.compare(i, 2, "%}") == 0 ? i + 2 : std::string::npos;
  }

  void raw(size_t inside) {
    advance_to(after_tag(inside, in_[inside - 3], false));
    for (size_t tag = in_.find("{%", at_); tag != std::string::npos; tag = in_.find("{%", tag + 1)) {
      const size_t end = raw_tag(tag, "endraw", "-+");
      if (end == std::string::npos) continue;
      emit_text(in_.substr(at_, tag - at_), in_[tag + 2], false);
      return advance_to(after_tag(end, in_[end - 3], true));
    }
    fail("a raw block is not closed");
  }

  void tag() {
    const bool is_print = in_[at_ + 1] == '{';
    add(is_print ? Kind::print_begin : Kind::block_begin, "");
    advance_to(at_ + 2);
    if (at_ < in_.size() && (in_[at_] == '-' || in_[at_] == '+')) advance_to(at_ + 1);
    const std::string_view close = is_print ? "}}" : "%}";
    std::string open;  // brackets: a closing mark inside of them is none
    while (true) {
      while (at_ < in_.size() && is_python_space(static_cast<unsigned char>(in_[at_]))) advance_to(at_ + 1);
      if (at_ >= in_.size()) fail("a tag is not closed");
      const char c = in_[at_];
      const bool has_sign = c == '-' || (c == '+' && !is_print);
      if (open.empty() && in_.compare(at_ + (has_sign ? 1 : 0), 2, close) == 0) {
        add(is_print ? Kind::print_end : Kind::block_end, "");
        return advance_to(after_tag(at_ + (has_sign ? 3 : 2), has_sign ? c : ' ', !is_print));
      }
      expression_token(open);
    }
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
  }

  void expression_token(std::string& open) {
    const char c = in_[at_];
    if (c == '\'' || c == '"') return string(c);
    if (is_digit(c)) return number();
    if (is_name_start(c)) {
      size_t end = at_;
      while (end < in_.size() && (is_name_start(in_[end]) || is_digit(in_[end]))) ++end;
      add(Kind::name, in_.substr(at_, end - at_));
      return advance_to(end);
    }
    symbol(open);
  }

  void symbol(std::string& open) {
    static constexpr std::array<std::string_view, 26> kSymbols = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view symbol : kSymbols) {
      if (in_.compare(at_, symbol.size(), symbol) != 0) continue;
      const char c = symbol[0];
      if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
      if (c == ')' || c == ']' || c == '}') {
        if (open.empty() || open.back() != c) fail(fmt::format("unexpected \"{}\"", c));
        open.pop_back();
      }
      add(Kind::symbol, std::string(symbol));
      return advance_to(at_ + symbol.size());
    }
    fail(fmt::format("unexpected character \"{}\"", in_[at_]));
  }

  void number() {
    size_t end = at_;
    const auto digits = [&] {
      while (end < in_.size() &&
             (is_digit(in_[end]) || (in_[end] == '_' && end + 1 < in_.size() && is_digit(in_[end + 1]))))
        ++end;
    };
    digits();
    bool floating = false;
    if (end + 1 < in_.size() && in_[end] == '.' && is_digit(in_[end + 1])) {
      floating = true;
      ++end;
      digits();
    }
    if (end < in_.size() && (in_[end] == 'e' || in_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < in_.size() && (in_[exponent] == '+' || in_[exponent] == '-')) ++exponent;
      if (exponent < in_.size() && is_digit(in_[exponent])) {
        floating = true;
        end = exponent;
        digits();
      }
    }
    std::string value = in_.substr(at_, end - at_);
    std::erase(value, '_');
    add(floating ? Kind::floating : Kind::integer, std::move(value));
    advance_to(end);
  }

  void string(char quote) {
    std::string value;
    size_t i = at_ + 1;
    while (i < in_.size() && in_[i] != quote) {
      if (in_[i] != '\\') {
        value += in_[i++];
        continue;
      }
      if (i + 1 >= in_.size()) break;
      i = escape(i + 1, value);
    }
    if (i >= in_.size()) fail("a string is not closed");
    add(Kind::string, std::move(value));
    advance_to(i + 1);
  }

  // Python's escapes; `i` is after the backslash. Returns where the string goes on.
  size_t escape(size_t i, std::string& value) const {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    const char c = in_[i];
    if (const size_t known = kFrom.find(c); known != std::string_view::npos) {
      value += kTo[known];
      return i + 1;
    }
    if (c == '\n') return i + 1;
    if (c >= '0' && c <= '7') return number_escape(i, 3, 8, value);
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
      value += '\\';
      return i;  // an unknown escape stays
    }
    const size_t end = number_escape(i + 1, digits, 16, value);
    if (end != i + 1 + digits) fail("a broken escape in a string");
    return end;
  }

  size_t number_escape(size_t i, size_t max_digits, int base, std::string& value) const {
    char32_t code_point = 0;
    const size_t last = std::min(i + max_digits, in_.size());
    for (; i < last; ++i) {
      const char c = in_[i];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : 99;
      if (digit >= base) break;
      code_point = code_point * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
    }
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point < 0xE000))
      fail("an escape in a string names no character");
    append_utf8(value, code_point);
    return i;
  }

  std::string in_;
  const std::string& where_;
  const bool trims_;  // trim_blocks and lstrip_blocks
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, const std::string& where, Dialect dialect) {
  if (source.size() > kMaxSource)
    throw base::BadInput(
        fmt::format("{}: a template of {} bytes, expected at most {}", where, source.size(), kMaxSource));
  if (valid_utf8_prefix(source) != source.size())
    throw base::BadInput(fmt::format("{}: the template is not valid UTF-8", where));
  return Lexer(normalize_newlines(source, dialect), where, dialect).run();
}

}  // namespace aquatint::text::jinja
