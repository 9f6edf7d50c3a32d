#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "base/error.h"
#include "base/statistics.h"
#include "report/table.h"
#include "report/verdict.h"

namespace aquatint::report {
namespace {

struct Cell {
  Column column;
  std::function<std::string(const StudyRow&)> text;  // "" where not measured
};

std::string or_blank(double value, const std::string& text) {
  return std::isfinite(value) ? text : std::string();
}

std::string with_error(const Measured& m, int decimals) {
  if (!m.known()) return "";
  const std::string value = fmt::format("{:.{}f}", m.value, decimals);
  return std::isfinite(m.error) ? fmt::format("{} ± {:.{}f}", value, m.error, decimals) : value;
}

std::string rate(const std::vector<double>& samples) {
  if (samples.empty()) return "";
  const base::Summary s = base::summarize(samples);
  const int decimals = s.mean < 100 ? 1 : 0;
  return std::isfinite(s.std) ? fmt::format("{:.{}f} ± {:.{}f}", s.mean, decimals, s.std, decimals)
                              : fmt::format("{:.{}f}", s.mean, decimals);
}

std::vector<Cell> size_and_quality() {
  return {
      {{"scheme", Align::left}, [](const StudyRow& r) { return row_name(r); }},
      {{"file"}, [](const StudyRow& r) { return or_blank(r.file_bytes, format_bytes(r.file_bytes)); }},
      {{"b/weight"},
       [](const StudyRow& r) {
         return or_blank(r.bits_per_weight, fmt::format("{:.2f}", r.bits_per_weight));
       }},
      {{"b/param"},
       [](const StudyRow& r) {
         return or_blank(r.bits_per_parameter, fmt::format("{:.2f}", r.bits_per_parameter));
       }},
      {{"perplexity"}, [](const StudyRow& r) { return with_error(r.perplexity, 2); }},
      {{"KLD"},
       [](const StudyRow& r) { return or_blank(r.mean_kld.value, format_significant(r.mean_kld.value, 2)); }},
      {{"top-1"},
       [](const StudyRow& r) { return or_blank(r.same_top1, fmt::format("{:.1f} %", r.same_top1 * 100)); }},
  };
}

std::vector<Cell> speed(const Study& study) {
  std::vector<Cell> cells = {{{"prefill t/s"}, [](const StudyRow& r) {
                                const SpeedResult* s = single_speed(r);
                                return s ? rate(s->prefill) : "";
                              }}};
  std::set<int> batches;
  for (const StudyRow& row : study.rows)
    for (const SpeedResult& s : row.speed) batches.insert(s.batch);
  for (const int batch : batches)
    cells.push_back({{batch == 1 ? "decode t/s" : fmt::format("×{}", batch)}, [batch](const StudyRow& r) {
                       for (const SpeedResult& s : r.speed)
                         if (s.batch == batch) return rate(s.decode);
                       return std::string();
                     }});
  return cells;
}

std::vector<Cell> tasks(const Study& study) {
  std::vector<Cell> cells;
  std::set<std::string> seen;
  for (const StudyRow& row : study.rows)
    for (const TaskResult& task : row.tasks) {
      if (!seen.insert(task.name).second) continue;
      cells.push_back({{task.name}, [name = task.name](const StudyRow& r) {
                         for (const TaskResult& t : r.tasks)
                           if (t.name == name && t.accuracy.known())
                             return fmt::format("{:.1f}", t.accuracy.value * 100);
                         return std::string();
                       }});
    }
  return cells;
}

}  // namespace

Table study_table(const Study& study) {
  std::vector<Cell> cells = size_and_quality();
  for (const auto& more : {speed(study), tasks(study)}) cells.insert(cells.end(), more.begin(), more.end());
  cells.push_back({{"RAM"}, [](const StudyRow& r) {
                     return or_blank(r.peak_ram_bytes, format_bytes(r.peak_ram_bytes));
                   }});
  std::erase_if(cells, [&](const Cell& cell) {
    return std::all_of(study.rows.begin(), study.rows.end(),
                       [&](const StudyRow& r) { return cell.text(r).empty(); });
  });
  const Verdict verdict = decide(study);
  std::vector<Column> columns;
  for (const Cell& cell : cells) columns.push_back(cell.column);
  columns.push_back({"", Align::left});
  Table table(columns);
  for (size_t i = 0; i < study.rows.size(); ++i) {
    std::vector<std::string> line;
    for (const Cell& cell : cells) line.push_back(cell.text(study.rows[i]));
    const bool chosen = verdict.chosen == static_cast<int>(i);
    line.push_back(chosen ? "◀ recommended" : verdict.dominated_by[i].empty() ? "" : "dominated");
    if (i > 0 && study.rows[i].kind == RowKind::candidate && study.rows[i - 1].kind != RowKind::candidate)
      table.add_rule();
    table.add(line);
    if (chosen) table.emphasize_last();
  }
  return table;
}

}  // namespace aquatint::report
