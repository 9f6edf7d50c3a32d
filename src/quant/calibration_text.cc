// Windows of a plain text file: the text is one stream of tokens, cut into windows that do not overlap.
#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "quant/calibration_source.h"

namespace aquatint::quant {
namespace {

constexpr size_t kPiece = size_t{1} << 20;            // bytes tokenized at a time
constexpr size_t kSmallestBudget = size_t{16} << 20;  // bytes of a file that are read in any case
constexpr size_t kBytesPerToken = 32;  // read so many per token wanted: windows from all over a long file
constexpr size_t kSearch = size_t{1} << 16;

// A line begins at `at` with a letter after a line that ends without blanks: tokenizers split here, so the
// ids of the two sides together are those of the whole.
bool is_clean_cut(std::string_view text, size_t at) {
  return at >= 2 && text[at - 1] == '\n' && std::isgraph(static_cast<unsigned char>(text[at - 2])) &&
         std::isalpha(static_cast<unsigned char>(text[at]));
}

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

size_t cut_after(std::string_view text, size_t from) {
  const size_t end = std::min(from + kSearch, text.size());
  for (size_t at = from; at < end; ++at)
    if (is_clean_cut(text, at)) return at;
  size_t at = std::min(from, text.size());
  while (at < text.size() && continues_character(text[at])) ++at;
  return at;
}

std::vector<std::string_view> pieces_of(std::string_view text) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    const size_t size = cut_after(text, kPiece);
    pieces.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return pieces;
}

// All pieces of a short file; of a long one as many as the windows need, by seed, in the file's order.
std::vector<size_t> choose_pieces(size_t pieces, WindowRequest& request) {
  const size_t wanted_bytes =
      std::max(kSmallestBudget, kBytesPerToken * static_cast<size_t>(request.count * request.length));
  std::vector<size_t> chosen = draw(pieces, std::min(pieces, wanted_bytes / kPiece), request.rng);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::vector<int32_t> tokenize(std::string_view text, WindowRequest& request,
                              const CalibrationTarget& target) {
  const std::vector<std::string_view> pieces = pieces_of(text);
  std::vector<int32_t> tokens;
  size_t next = 0;
  for (const size_t i : choose_pieces(pieces.size(), request)) {
    if (i != next && target.end >= 0) tokens.push_back(target.end);
    const std::vector<int32_t> ids = target.tokenizer->encode(pieces[i], false);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    next = i + 1;
  }
  return tokens;
}

}  // namespace

Sequences text_windows(WindowRequest request, const CalibrationTarget& target,
                       std::vector<std::string>& notes) {
  const base::MappedFile file(request.file);
  const std::vector<int32_t> tokens = tokenize(utf8_text(file.bytes(), request.file), request, target);
  const std::optional<int32_t> bos = target.tokenizer->bos_id();
  const size_t body = static_cast<size_t>(request.length) - (bos ? 1 : 0);
  const size_t found = tokens.size() / body;
  const size_t count = std::min(found, static_cast<size_t>(request.count));
  if (count < static_cast<size_t>(request.count))
    accept_fewer(request, static_cast<int64_t>(found), static_cast<int64_t>(tokens.size()), notes);
  Sequences windows;
  for (const size_t slot : draw(found, count, request.rng)) {
    std::vector<int32_t>& window = windows.emplace_back();
    window.reserve(static_cast<size_t>(request.length));
    if (bos) window.push_back(*bos);
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(slot * body);
    window.insert(window.end(), begin, begin + static_cast<std::ptrdiff_t>(body));
  }
  return windows;
}

}  // namespace aquatint::quant
