// Python's string operations on UTF-8, where they go by character.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aquatint::text::jinja {

bool is_python_space(char32_t c);  // str.isspace: White_Space and U+001C–1F

enum class Side { left, right, both };
std::string_view strip(std::string_view text, Side side);                               // white space
std::string_view strip(std::string_view text, std::string_view characters, Side side);  // any of these

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);                          // str.title
std::vector<std::string_view> split_lines(std::string_view text);  // str.splitlines
// str.split() without a separator.
std::vector<std::string_view> split_words(std::string_view text, int64_t max_splits);
// str.split(separator, max_splits), from the right for rsplit; max_splits < 0: all. `separator` is not empty.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t max_splits,
                                       bool from_right);
// At most `count` replacements, all when negative. An empty `old` stands between all characters.
std::string replace(std::string_view text, std::string_view old, std::string_view by, int64_t count);
// Byte offsets of all characters and of the end.
std::vector<size_t> character_offsets(std::string_view text);

}  // namespace aquatint::text::jinja
