#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "text/unicode.h"

namespace aquatint::text {
namespace {

using base::BadInput;

constexpr uint32_t kMatchLimit = 10'000'000;   // backtracks of one match; PCRE2's own default
constexpr uint32_t kHeapLimitKiB = 64 * 1024;  // of one match in the interpreter
constexpr size_t kJitStackMax = size_t{1} << 20;
constexpr size_t kMaxPattern = 64 * 1024;

bool compiles(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  if (code) pcre2_code_free(code);
  return code != nullptr;
}

// Walks the pattern once, copying what means the same in both dialects.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        in_class(c);
      } else if (c == '[') {
        open_class();
      } else {
        out_ += c, ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void unsupported(std::string_view what) const {
    throw BadInput(
        fmt::format("{}: regular expression uses {} at byte {}, which is not supported", where_, what, at_));
  }

  void open_class() {
    in_class_ = true;
    out_ += '[', ++at_;
    if (at_ < in_.size() && in_[at_] == '^') out_ += '^', ++at_;
    if (at_ < in_.size() && in_[at_] == ']') out_ += "\\]", ++at_;
  }

  void in_class(char c) {
    if (c == '[' && in_.substr(at_, 2) != "[:") unsupported("a character class inside another");
    if (in_.substr(at_, 2) == "&&") unsupported("an intersection of character classes");
    if (c == '[') {  // POSIX bracket: the same in both
      const size_t end = in_.find(":]", at_);
      if (end == std::string_view::npos) unsupported("an open POSIX bracket");
      out_ += in_.substr(at_, end + 2 - at_);
      at_ = end + 2;
      return;
    }
    if (c == ']') in_class_ = false;
    out_ += c, ++at_;
  }

  // A set named by items, which stand as they are inside a class.
  void set(std::string_view items) {
    if (in_class_)
      out_ += items;
    else
      out_.append("[").append(items).append("]");
  }

  void negated_set(std::string_view items) {
    if (in_class_) unsupported("a negated escape inside a character class");
    out_.append("[^").append(items).append("]");
  }

  void escape() {
    if (at_ + 1 == in_.size()) unsupported("a trailing backslash");
    constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
    constexpr std::string_view kHex = "0-9A-Fa-f";
    const char c = in_[at_ + 1];
    at_ += 2;
    switch (c) {
      // PCRE2's own \s counts U+180E, its \w and \p{script} follow other definitions, its \h means blanks.
      case 's':
        out_ += "\\p{White_Space}";
        return;
      case 'S':
        out_ += "\\P{White_Space}";
        return;
      case 'w':
        return set(kWord);
      case 'W':
        return negated_set(kWord);
      case 'h':
        return set(kHex);
      case 'H':
        return negated_set(kHex);
      case 'p':
      case 'P':
        return property(c);
      default:
        out_ += '\\', out_ += c;
    }
  }

  void property(char kind) {
    const size_t end = in_.find('}', at_);
    if (at_ == in_.size() || in_[at_] != '{' || end == std::string_view::npos) {
      at_ -= 2;
      unsupported("\\p without {…}");
    }
    std::string name(in_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    if (!name.empty() && name[0] == '^') {
      kind = kind == 'p' ? 'P' : 'p';
      name.erase(0, 1);
    }
    // A bare script name means Script_Extensions in PCRE2, Script in Oniguruma.
    if (name.size() > 2 && compiles("\\p{sc:" + name + "}")) name = "sc:" + name;
    out_ += fmt::format("\\{}{{{}}}", kind, name);
  }

  std::string_view in_;
  const std::string& where_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

// What a match needs besides the pattern; one per thread.
struct Scratch {
  Scratch()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(32 * 1024, kJitStackMax, nullptr)) {
    if (!data || !context) throw base::OutOfResource("out of memory for a regular expression match");
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKiB);
    if (stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }

  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

Scratch& scratch() {
  thread_local Scratch one;
  return one;
}

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  std::string where;
  ~Code() { pcre2_code_free(code); }
};

std::string translate_oniguruma(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

Regex::Regex(std::string_view pattern, const std::string& where) : code_(std::make_unique<Code>()) {
  if (pattern.size() > kMaxPattern)
    throw BadInput(fmt::format("{}: regular expression of {} bytes, expected at most {}", where,
                               pattern.size(), kMaxPattern));
  const std::string translated = translate_oniguruma(pattern, where);
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->where = where;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                              &offset, context.get());
  if (!code_->code) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof message);
    throw BadInput(fmt::format("{}: regular expression does not compile: {}", where,
                               reinterpret_cast<const char*>(message)));
  }
  pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE);  // where it fails, the interpreter does the work
}

Regex::Regex(Regex&&) noexcept = default;
Regex::~Regex() = default;

void Regex::find_all(std::string_view text, std::vector<Span>& matches) const {
  Scratch& s = scratch();
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(s.data);
  size_t at = 0;
  size_t last_end = SIZE_MAX;
  while (at <= text.size()) {
    // NO_UTF_CHECK: the text is known to be well-formed, and checking it for each match would be quadratic.
    int status = pcre2_match(code_->code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, s.data, s.context);
    if (status == PCRE2_ERROR_JIT_STACKLIMIT)
      status = pcre2_match(code_->code, subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s.data,
                           s.context);
    if (status == PCRE2_ERROR_NOMATCH) return;
    if (status < 0)
      throw BadInput(fmt::format("{}: the regular expression reached a match limit at byte {} of the text",
                                 code_->where, at));
    const Span match{found[0], found[1]};
    if (match.begin > match.end)  // \K inside a lookaround
      throw BadInput(fmt::format("{}: the regular expression ends a match before it starts", code_->where));
    const bool empty = match.begin == match.end;
    if (!(empty && match.end == last_end)) matches.push_back(match);
    last_end = match.end;
    at = match.end;
    if (empty) at += at < text.size() ? decode_utf8(text, at).length : 1;
  }
}

}  // namespace aquatint::text
