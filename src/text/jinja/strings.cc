#include "text/jinja/strings.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/unicode.h"

namespace aquatint::text::jinja {
namespace {

enum class Case { upper, lower, title };

void append_case(std::string& out, char32_t c, Case to) {
  const auto point = static_cast<utf8proc_int32_t>(c);
  if (c == 0xDF && to != Case::lower) {  // ß
    out += to == Case::upper ? "SS" : "Ss";
  } else if (c == 0x130 && to == Case::lower) {  // İ
    out += "i\xCC\x87";
  } else {
    append_utf8(out, static_cast<char32_t>(to == Case::upper   ? utf8proc_toupper(point)
                                           : to == Case::lower ? utf8proc_tolower(point)
                                                               : utf8proc_totitle(point)));
  }
}

// choose(character, index) → its case.
template <class Choose>
std::string map_case(std::string_view text, Choose&& choose) {
  std::string out;
  out.reserve(text.size());
  size_t index = 0;
  for (size_t at = 0; at < text.size(); ++index) {
    const CodePoint c = decode_utf8(text, at);
    append_case(out, c.value, choose(c.value, index));
    at += c.length;
  }
  return out;
}

bool is_cased(char32_t c) {
  const auto k = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

size_t last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

template <class Drop>
std::string_view strip_where(std::string_view text, Side side, Drop&& drop) {
  if (side != Side::right)
    while (!text.empty()) {
      const CodePoint c = decode_utf8(text, 0);
      if (!drop(c.value)) break;
      text.remove_prefix(c.length);
    }
  if (side != Side::left)
    while (!text.empty()) {
      const size_t at = last_character(text);
      if (!drop(decode_utf8(text, at).value)) break;
      text.remove_suffix(text.size() - at);
    }
  return text;
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

bool is_python_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

std::string_view strip(std::string_view text, Side side) { return strip_where(text, side, is_python_space); }

std::string_view strip(std::string_view text, std::string_view characters, Side side) {
  std::u32string set;
  for (size_t at = 0; at < characters.size();) {
    const CodePoint c = decode_utf8(characters, at);
    set += c.value;
    at += c.length;
  }
  std::sort(set.begin(), set.end());
  return strip_where(text, side, [&](char32_t c) { return std::binary_search(set.begin(), set.end(), c); });
}

std::string upper(std::string_view text) {
  return map_case(text, [](char32_t, size_t) { return Case::upper; });
}

std::string lower(std::string_view text) {
  return map_case(text, [](char32_t, size_t) { return Case::lower; });
}

std::string capitalize(std::string_view text) {
  return map_case(text, [](char32_t, size_t index) { return index == 0 ? Case::title : Case::lower; });
}

std::string title(std::string_view text) {
  bool inside = false;
  return map_case(text, [&](char32_t c, size_t) {
    const Case to = inside ? Case::lower : Case::title;
    inside = is_cased(c);
    return to;
  });
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    size_t next = at + c.length;
    if (is_line_end(c.value)) {
      lines.push_back(text.substr(start, at - start));
      if (c.value == '\r' && next < text.size() && text[next] == '\n') ++next;
      start = next;
    }
    at = next;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

std::vector<std::string_view> split_words(std::string_view text, int64_t max_splits) {
  std::vector<std::string_view> words;
  while (true) {
    text = strip(text, Side::left);
    if (text.empty()) return words;
    if (max_splits >= 0 && static_cast<int64_t>(words.size()) == max_splits) {
      words.push_back(text);
      return words;
    }
    size_t end = 0;
    while (end < text.size()) {
      const CodePoint c = decode_utf8(text, end);
      if (is_python_space(c.value)) break;
      end += c.length;
    }
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t max_splits,
                                       bool from_right) {
  std::vector<std::string_view> parts;
  const auto may_split = [&] { return max_splits < 0 || static_cast<int64_t>(parts.size()) < max_splits; };
  while (may_split()) {
    const size_t found = from_right ? text.rfind(separator) : text.find(separator);
    if (found == std::string_view::npos) break;
    const auto before = text.substr(0, found), after = text.substr(found + separator.size());
    parts.push_back(from_right ? after : before);
    text = from_right ? before : after;
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::string replace(std::string_view text, std::string_view old, std::string_view by, int64_t count) {
  std::string out;
  const auto may_replace = [&] { return count < 0 || count-- > 0; };
  if (old.empty()) {
    size_t at = 0;
    while (may_replace()) {
      out += by;
      if (at == text.size()) return out;
      const size_t bytes = decode_utf8(text, at).length;
      out += text.substr(at, bytes);
      at += bytes;
    }
    return out.append(text.substr(at));
  }
  size_t at = 0;
  for (size_t found = text.find(old); found != std::string_view::npos && may_replace();
       found = text.find(old, at)) {
    out.append(text.substr(at, found - at)).append(by);
    at = found + old.size();
  }
  return out.append(text.substr(at));
}

std::vector<size_t> character_offsets(std::string_view text) {
  std::vector<size_t> offsets;
  for (size_t at = 0; at < text.size(); at += decode_utf8(text, at).length) offsets.push_back(at);
  offsets.push_back(text.size());
  return offsets;
}

}  // namespace aquatint::text::jinja
