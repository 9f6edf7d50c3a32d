// Regular expressions as Python's `re` reads them, for what evaluation tasks write: run on PCRE2 with match
// limits. Differences of the two dialects that such patterns meet are settled here (\Z, \g<name> in
// replacements); look-behinds of variable width stay errors.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace aquatint::text {

class PythonRegex {
 public:
  // BadInput ("where: …") when the pattern does not compile.
  PythonRegex(std::string_view pattern, const std::string& where);
  PythonRegex(PythonRegex&&) noexcept;
  PythonRegex& operator=(PythonRegex&&) noexcept;
  ~PythonRegex();

  // Of each non-overlapping match its groups; the whole match where the pattern has none. A group that took
  // no part is empty. `text` is well-formed UTF-8. BadInput when a match limit is reached. Safe to call from
  // several threads.
  std::vector<std::vector<std::string>> find_all(std::string_view text) const;
  // Every match replaced; \1 and \g<1> in `replacement` stand for groups.
  std::string replace_all(std::string_view text, std::string_view replacement) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace aquatint::text
