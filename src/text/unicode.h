// Code points, UTF-8 and the few character classes that tokenizers ask for (Unicode 14, from utf8proc).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace aquatint::text {

struct CodePoint {
  char32_t value;
  size_t length;  // bytes in UTF-8, 1 to 4
};

// The code point at byte `at` of well-formed UTF-8.
CodePoint decode_utf8(std::string_view text, size_t at);
void append_utf8(std::string& to, char32_t code_point);

// Bytes of the longest well-formed prefix.
size_t valid_utf8_prefix(std::string_view text);
// True when `text` is a proper prefix of one UTF-8 character.
bool is_truncated_utf8(std::string_view text);
// Each maximal ill-formed subsequence becomes U+FFFD (Unicode 14, 3.9, the rule that browsers and Rust
// follow).
std::string replace_invalid_utf8(std::string_view text);

bool is_white_space(char32_t c);  // property White_Space
bool is_numeric(char32_t c);      // Nd, Nl, No
bool is_word(char32_t c);         // UTS 18 word character: Alphabetic, M, Nd, Pc, Join_Control
bool is_punctuation(char32_t c);  // P*, and the ASCII symbols

// GPT-2's reversible map from bytes to printable characters: 0x21–7E, A1–AC, AE–FF stand for themselves, the
// other 68 become U+0100, U+0101, … in increasing order.
char32_t byte_to_character(unsigned char byte);
// The byte that `c` stands for, or -1.
int character_to_byte(char32_t c);

}  // namespace aquatint::text
