// The regular expressions of tokenizer.json. They are written for Oniguruma with Ruby syntax; this class
// translates what differs and runs them on PCRE2 with its JIT and match limits.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace aquatint::text {

// Bytes [begin, end) of some text.
struct Span {
  size_t begin, end;
  bool operator==(const Span&) const = default;
};

class Regex {
 public:
  // BadInput when the pattern does not compile or uses a construct that cannot be translated.
  Regex(std::string_view pattern, const std::string& where);
  Regex(Regex&&) noexcept;
  ~Regex();

  // Appends all non-overlapping matches, leftmost first. `text` is well-formed UTF-8. BadInput when a match
  // limit is reached. Safe to call from several threads.
  void find_all(std::string_view text, std::vector<Span>& matches) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

// The PCRE2 form (UTF, UCP, MULTILINE) of an Oniguruma pattern; in the header for its test.
std::string translate_oniguruma(std::string_view pattern, const std::string& where);

}  // namespace aquatint::text
