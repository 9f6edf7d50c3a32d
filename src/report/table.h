// Aligned text tables for terminals, and the same as CSV.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "report/study_data.h"

namespace aquatint::report {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::right;
};

// Rows may be shorter than the columns; the rest is blank.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells);
  void add_rule();        // a line between groups of rows
  void emphasize_last();  // bold where colour is asked for

  // Two spaces between columns, a rule under the titles, no trailing blanks. Widths count terminal cells
  // (East Asian wide characters two, combining ones none). Control characters are shown as '?', so a name
  // from a file cannot drive the terminal.
  std::string text(bool colour = false) const;
  std::string csv() const;  // RFC 4180: titles first, CRLF, quoted where needed

 private:
  struct Row {
    std::vector<std::string> cells = {};
    bool rule = false, emphasized = false;
  };
  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

int display_width(std::string_view utf8);

// Numbers as people read them: "96.6 MB" (powers of ten), "1.46 GB"; "135 M"; "2.1 min"; "n/a" for NaN.
std::string format_bytes(double bytes);
std::string format_count(double count);
std::string format_seconds(double seconds);
// `digits` significant digits, no exponent between 1e-4 and 1e7.
std::string format_significant(double value, int digits);

// The study's main table: one line a scheme; columns nobody measured are left out. Perplexity ± standard
// error, rates in tokens/s ± standard deviation (decode by batch), accuracies in percent.
Table study_table(const Study& study);

}  // namespace aquatint::report
