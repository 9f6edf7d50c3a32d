#include "runtime/text_stream.h"

#include <string_view>

#include "text/unicode.h"

namespace aquatint::runtime {
namespace {

// Whether more bytes may change the last character: it is cut off, or a decoder has put U+FFFD in place of
// such bytes.
bool ends_inside_character(std::string_view text) {
  if (text.ends_with("\uFFFD")) return true;
  for (size_t length = 1; length < 4 && length <= text.size(); ++length)
    if (text::is_truncated_utf8(text.substr(text.size() - length))) return true;
  return false;
}

}  // namespace

std::string TextStream::decode_from_context(size_t end) const {
  const auto at = [this](size_t i) { return ids_.begin() + static_cast<ptrdiff_t>(i); };
  return tokenizer_.decode(std::vector<int32_t>(at(context_), at(end)), true);
}

std::string TextStream::next(int32_t token) {
  ids_.push_back(token);
  const std::string shown = decode_from_context(shown_), all = decode_from_context(ids_.size());
  if (all.size() <= shown.size() || ends_inside_character(all)) return "";
  context_ = shown_;
  shown_ = ids_.size();
  return text::replace_invalid_utf8(std::string_view(all).substr(shown.size()));
}

std::string TextStream::rest() {
  const std::string shown = decode_from_context(shown_), all = decode_from_context(ids_.size());
  return all.size() > shown.size() ? text::replace_invalid_utf8(std::string_view(all).substr(shown.size()))
                                   : "";
}

}  // namespace aquatint::runtime
