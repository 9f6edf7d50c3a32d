#include "text/split.h"

#include <algorithm>

#include "base/error.h"
#include "text/unicode.h"

namespace aquatint::text {
namespace {

// A stretch of a piece; together they cover it without gaps.
struct Part {
  Span span;
  bool is_match;
};

void append_isolated(const std::vector<Part>& parts, std::vector<Span>& out) {
  for (const Part& part : parts) out.push_back(part.span);
}

void append_removed(const std::vector<Part>& parts, std::vector<Span>& out) {
  for (const Part& part : parts)
    if (!part.is_match) out.push_back(part.span);
}

// A match joins what came before it, unless that was a match too.
void append_merged_with_previous(const std::vector<Part>& parts, std::vector<Span>& out) {
  bool previous_match = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].is_match && !previous_match && i > 0)
      out.back().end = parts[i].span.end;
    else
      out.push_back(parts[i].span);
    previous_match = parts[i].is_match;
  }
}

void append_merged_with_next(const std::vector<Part>& parts, std::vector<Span>& out) {
  const auto first = static_cast<std::ptrdiff_t>(out.size());
  bool next_match = false;
  for (size_t i = parts.size(); i-- > 0;) {
    if (parts[i].is_match && !next_match && i + 1 < parts.size())
      out.back().begin = parts[i].span.begin;
    else
      out.push_back(parts[i].span);
    next_match = parts[i].is_match;
  }
  std::reverse(out.begin() + first, out.end());
}

void append_contiguous(const std::vector<Part>& parts, std::vector<Span>& out) {
  bool previous_match = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].is_match == previous_match && i > 0)
      out.back().end = parts[i].span.end;
    else
      out.push_back(parts[i].span);
    previous_match = parts[i].is_match;
  }
}

void append_pieces(const std::vector<Part>& parts, SplitBehavior behavior, std::vector<Span>& out) {
  switch (behavior) {
    case SplitBehavior::isolated:
      return append_isolated(parts, out);
    case SplitBehavior::removed:
      return append_removed(parts, out);
    case SplitBehavior::merged_with_previous:
      return append_merged_with_previous(parts, out);
    case SplitBehavior::merged_with_next:
      return append_merged_with_next(parts, out);
    case SplitBehavior::contiguous:
      return append_contiguous(parts, out);
  }
}

// find(piece, matches) appends matches relative to the piece.
template <class Find>
void split_where(Pieces& pieces, SplitBehavior behavior, bool invert, Find&& find) {
  std::vector<Span> out, matches;
  std::vector<Part> parts;
  out.reserve(pieces.spans.size() * 2);
  for (const Span& piece : pieces.spans) {
    matches.clear();
    parts.clear();
    find(std::string_view(pieces.text).substr(piece.begin, piece.end - piece.begin), matches);
    size_t last = piece.begin;
    for (const Span& match : matches) {
      const Span span{piece.begin + match.begin, piece.begin + match.end};
      if (last < span.begin) parts.push_back({{last, span.begin}, invert});
      parts.push_back({span, !invert});
      last = span.end;
    }
    if (last < piece.end) parts.push_back({{last, piece.end}, invert});
    append_pieces(parts, behavior, out);
  }
  std::erase_if(out, [](const Span& span) { return span.begin == span.end; });
  pieces.spans = std::move(out);
}

}  // namespace

SplitBehavior split_behavior(const std::string& name, const std::string& where) {
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  throw base::BadInput(
      fmt::format("{}: split behavior is \"{}\", expected Removed, Isolated, MergedWithPrevious, "
                  "MergedWithNext or Contiguous",
                  where, name));
}

void split(Pieces& pieces, const Pattern& pattern, SplitBehavior behavior, bool invert) {
  split_where(pieces, behavior, invert,
              [&](std::string_view piece, std::vector<Span>& matches) { pattern.find_all(piece, matches); });
}

void split(Pieces& pieces, const std::function<bool(char32_t)>& is_match, SplitBehavior behavior) {
  split_where(pieces, behavior, false, [&](std::string_view piece, std::vector<Span>& matches) {
    for (size_t at = 0; at < piece.size();) {
      const CodePoint c = decode_utf8(piece, at);
      if (is_match(c.value)) matches.push_back({at, at + c.length});
      at += c.length;
    }
  });
}

}  // namespace aquatint::text
