#include "text/python_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <functional>

#include "base/error.h"

namespace aquatint::text {
namespace {

using base::BadInput;

constexpr uint32_t kBacktracks = 1'000'000;  // backtracks of one match
constexpr uint32_t kHeapKiB = 64 * 1024;     // of one match
constexpr size_t kLongestPattern = 64 * 1024;
constexpr size_t kMaxText = size_t{64} << 20;  // that a replacement may make

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;
using MatchContext = std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;

// \Z is the very end in Python, and the end or before a last newline in PCRE2, where \z is the very end.
std::string translate(std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    out += pattern[i];
    if (pattern[i] == '\\' && i + 1 < pattern.size()) out += pattern[++i] == 'Z' ? 'z' : pattern[i];
  }
  return out;
}

// The number of the group that \N, \NN or \g<N> at `at` (after the backslash) names, and where it ends.
std::pair<size_t, size_t> group_reference(std::string_view text, size_t at) {
  const bool named = text.substr(at, 2) == "g<";
  size_t group = 0, end = at + (named ? 2 : 0);
  const size_t first = end;
  while (end < text.size() && end < first + 2 && text[end] >= '0' && text[end] <= '9')
    group = group * 10 + static_cast<size_t>(text[end++] - '0');
  if (end == first) return {0, at};
  if (named && (end >= text.size() || text[end++] != '>')) return {0, at};
  return {group, end};
}

std::string expand(std::string_view replacement, const std::vector<std::string>& groups,
                   const std::string& where) {
  std::string out;
  for (size_t i = 0; i < replacement.size(); ++i) {
    if (replacement[i] != '\\' || i + 1 == replacement.size()) {
      out += replacement[i];
      continue;
    }
    const auto [group, end] = group_reference(replacement, i + 1);
    if (end > i + 1) {
      if (group >= groups.size())
        throw BadInput(fmt::format("{}: the replacement names group {}, the pattern has {}", where, group,
                                   groups.size() - 1));
      out += groups[group];
      i = end - 1;
    } else {
      const char c = replacement[++i];
      out += c == 'n' ? '\n' : c == 't' ? '\t' : c;
    }
  }
  return out;
}

}  // namespace

struct PythonRegex::Code {
  pcre2_code* code = nullptr;
  std::string where;
  ~Code() { pcre2_code_free(code); }

  // Calls `visit` with the place of each match and its groups, the whole match first.
  void each(std::string_view text,
            const std::function<void(size_t, size_t, std::vector<std::string>)>& visit) const {
    const MatchData data(pcre2_match_data_create_from_pattern(code, nullptr), &pcre2_match_data_free);
    const MatchContext context(pcre2_match_context_create(nullptr), &pcre2_match_context_free);
    pcre2_set_match_limit(context.get(), kBacktracks);
    pcre2_set_heap_limit(context.get(), kHeapKiB);
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    const PCRE2_SIZE* found = pcre2_get_ovector_pointer(data.get());
    // As in Python from 3.7 on: an empty match may follow another match, and after it only a longer one may
    // start there.
    uint32_t options = PCRE2_NO_UTF_CHECK;
    for (size_t at = 0;;) {
      const int count = pcre2_match(code, subject, text.size(), at, options, data.get(), context.get());
      if (count == PCRE2_ERROR_NOMATCH) return;
      if (count < 0 || found[0] > found[1])
        throw BadInput(fmt::format("{}: the regular expression reached a match limit at byte {} of the text",
                                   where, at));
      const size_t begin = found[0], end = found[1];
      std::vector<std::string> groups(pcre2_get_ovector_count(data.get()));
      for (size_t g = 0; g < static_cast<size_t>(count); ++g)
        if (found[2 * g] != PCRE2_UNSET)
          groups[g] = text.substr(found[2 * g], found[2 * g + 1] - found[2 * g]);
      visit(begin, end, std::move(groups));
      at = end;
      options = PCRE2_NO_UTF_CHECK | (begin == end ? PCRE2_NOTEMPTY_ATSTART : 0);
    }
  }
};

PythonRegex::PythonRegex(std::string_view pattern, const std::string& where)
    : code_(std::make_unique<Code>()) {
  if (pattern.size() > kLongestPattern)
    throw BadInput(fmt::format("{}: regular expression of {} bytes, expected at most {}", where,
                               pattern.size(), kLongestPattern));
  const std::string translated = translate(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->where = where;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code_->code) return;
  PCRE2_UCHAR message[256];
  pcre2_get_error_message(error, message, sizeof message);
  throw BadInput(fmt::format("{}: regular expression does not compile at byte {}: {}", where, offset,
                             reinterpret_cast<const char*>(message)));
}

PythonRegex::PythonRegex(PythonRegex&&) noexcept = default;
PythonRegex& PythonRegex::operator=(PythonRegex&&) noexcept = default;
PythonRegex::~PythonRegex() = default;

std::vector<std::vector<std::string>> PythonRegex::find_all(std::string_view text) const {
  std::vector<std::vector<std::string>> all;
  code_->each(text, [&](size_t, size_t, std::vector<std::string> groups) {
    if (groups.size() > 1) groups.erase(groups.begin());
    all.push_back(std::move(groups));
  });
  return all;
}

std::string PythonRegex::replace_all(std::string_view text, std::string_view replacement) const {
  std::string out;
  size_t kept = 0;
  code_->each(text, [&](size_t begin, size_t end, const std::vector<std::string>& groups) {
    out += text.substr(kept, begin - kept);
    out += expand(replacement, groups, code_->where);
    if (out.size() > kMaxText)
      throw BadInput(fmt::format("{}: the replacement makes too long a text", code_->where));
    kept = end;
  });
  out += text.substr(kept);
  return out;
}

}  // namespace aquatint::text
