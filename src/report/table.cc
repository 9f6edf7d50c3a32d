#include "report/table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "base/error.h"

namespace aquatint::report {
namespace {

using Range = std::pair<char32_t, char32_t>;

// Marks and joiners that take no cell of their own (the common blocks of Unicode's Mn, Me, Cf).
constexpr std::array<Range, 8> kZeroWidth = {{{0x300, 0x36f},
                                              {0x483, 0x489},
                                              {0x591, 0x5bd},
                                              {0x64b, 0x65f},
                                              {0x200b, 0x200f},
                                              {0x20d0, 0x20ff},
                                              {0xfe00, 0xfe0f},
                                              {0xfe20, 0xfe2f}}};
// Two cells: East Asian Width W and F (UAX #11), by blocks.
constexpr std::array<Range, 9> kWide = {{{0x1100, 0x115f},
                                         {0x2e80, 0xa4cf},
                                         {0xac00, 0xd7a3},
                                         {0xf900, 0xfaff},
                                         {0xfe30, 0xfe6f},
                                         {0xff00, 0xff60},
                                         {0xffe0, 0xffe6},
                                         {0x1f300, 0x1faff},
                                         {0x20000, 0x3fffd}}};

template <size_t N>
bool within(const std::array<Range, N>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Range& r) { return c >= r.first && c <= r.second; });
}

struct Decoded {
  char32_t character;
  size_t size;  // bytes; 1 with character 0 for an invalid byte
};

Decoded decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t size = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (size == 0 || lead >= 0xf5 || text.size() < size) return {0, 1};
  char32_t c = lead & (0x7fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 1};
    c = c << 6 | (byte(i) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (c < kSmallest[size] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return {0, 1};
  return {c, size};
}

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e); }

// What a terminal may be shown: invalid bytes, control and direction characters become '?'.
std::string harmless(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Decoded d = decode(text);
    if (is_control(d.character))
      out += '?';
    else
      out += text.substr(0, d.size);
    text.remove_prefix(d.size);
  }
  return out;
}

std::string quoted(const std::string& cell) {
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  std::string out = "\"";
  for (const char c : cell) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

void pad_into(std::string& line, const std::string& cell, int width, Align align) {
  const auto blanks = std::string(static_cast<size_t>(std::max(0, width - display_width(cell))), ' ');
  line += align == Align::right ? blanks + cell : cell + blanks;
}

}  // namespace

int display_width(std::string_view utf8) {
  int width = 0;
  while (!utf8.empty()) {
    const Decoded d = decode(utf8);
    width += within(kZeroWidth, d.character) ? 0 : within(kWide, d.character) ? 2 : 1;
    utf8.remove_prefix(d.size);
  }
  return width;
}

void Table::add(std::vector<std::string> cells) {
  AQ_CHECK(cells.size() <= columns_.size(), "{} cells for {} columns", cells.size(), columns_.size());
  cells.resize(columns_.size());
  rows_.push_back({std::move(cells)});
}

void Table::add_rule() { rows_.push_back({.rule = true}); }

void Table::emphasize_last() {
  if (!rows_.empty()) rows_.back().emphasized = true;
}

std::string Table::text(bool colour) const {
  std::vector<std::vector<std::string>> shown;
  std::vector<int> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.title));
  for (const Row& row : rows_) {
    auto& cells = shown.emplace_back();
    for (size_t i = 0; i < row.cells.size(); ++i) {
      cells.push_back(harmless(row.cells[i]));
      widths[i] = std::max(widths[i], display_width(cells[i]));
    }
  }
  std::string rule;
  for (size_t i = 0; i < widths.size(); ++i) {
    if (i) rule += "  ";
    for (int cell = 0; cell < widths[i]; ++cell) rule += "─";
  }
  const auto line_of = [&](const auto& cell_at) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (i) line += "  ";
      pad_into(line, cell_at(i), widths[i], columns_[i].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  };
  std::string out = line_of([&](size_t i) { return columns_[i].title; }) + "\n" + rule + "\n";
  for (size_t r = 0; r < rows_.size(); ++r) {
    const std::string line = rows_[r].rule ? rule : line_of([&](size_t i) { return shown[r][i]; });
    out += colour && rows_[r].emphasized ? "\x1b[1m" + line + "\x1b[0m\n" : line + "\n";
  }
  return out;
}

std::string Table::csv() const {
  std::string out;
  for (size_t i = 0; i < columns_.size(); ++i) out += (i ? "," : "") + quoted(columns_[i].title);
  out += "\r\n";
  for (const Row& row : rows_) {
    if (row.rule) continue;
    for (size_t i = 0; i < row.cells.size(); ++i) out += (i ? "," : "") + quoted(row.cells[i]);
    out += "\r\n";
  }
  return out;
}

}  // namespace aquatint::report
