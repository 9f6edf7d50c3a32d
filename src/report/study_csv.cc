#include <map>

#include "base/error.h"
#include "base/statistics.h"
#include "report/fields.h"
#include "report/files.h"
#include "report/table.h"
#include "report/verdict.h"

namespace aquatint::report {
namespace {

// A row's cells under their titles. Titles are kept in the order they first appear, over all rows.
class Cells {
 public:
  explicit Cells(std::vector<std::string>& titles) : titles_(titles) {}

  void add(const std::string& title, const std::string& text) {
    if (std::find(titles_.begin(), titles_.end(), title) == titles_.end()) titles_.push_back(title);
    cells_[title] = text;
  }
  void add(const std::string& title, double value) {
    add(title, std::isfinite(value) ? fmt::format("{}", value) : "");
  }
  void add(const std::string& title, const Measured& m) {
    add(title, m.value);
    add(title + " stderr", m.error);
  }
  std::vector<std::string> in_order() const {
    std::vector<std::string> row;
    for (const std::string& title : titles_) {
      const auto cell = cells_.find(title);
      row.push_back(cell == cells_.end() ? "" : cell->second);
    }
    return row;
  }

 private:
  std::vector<std::string>& titles_;
  std::map<std::string, std::string> cells_;
};

void add_rate(Cells& cells, const std::string& title, const std::vector<double>& samples) {
  const base::Summary s = base::summarize(samples);
  cells.add(title, s.mean);
  cells.add(title + " std", s.std);
}

void add_row(const StudyRow& row, const Loss& loss, Cells& cells) {
  cells.add("name", row_name(row));
  cells.add("scheme", row.scheme);
  cells.add("method", row.method);
  cells.add("layout", row.layout);
  each_number(row, [&](const char* name, const char*, double value) { cells.add(name, value); });
  each_estimate(row, [&](const char* name, const char*, const Measured& m) { cells.add(name, m); });
  cells.add("perplexity_increase", loss.perplexity_increase);
  for (const MemoryPart& part : row.memory) cells.add("bytes of " + part.name, part.bytes);
  for (const SpeedResult& s : row.speed) {
    const std::string load =
        fmt::format(" batch={} prompt={} generate={}", s.batch, s.prompt_tokens, s.generate_tokens);
    add_rate(cells, "prefill_tokens_per_second" + load, s.prefill);
    add_rate(cells, "decode_tokens_per_second" + load, s.decode);
    if (std::isfinite(s.prefill_joules)) cells.add("prefill_joules_per_token" + load, s.prefill_joules);
    if (std::isfinite(s.decode_joules)) cells.add("decode_joules_per_token" + load, s.decode_joules);
  }
  for (const TaskResult& task : row.tasks) {
    cells.add(task.name + " acc", task.accuracy);
    if (task.accuracy_norm.known()) cells.add(task.name + " acc_norm", task.accuracy_norm);
  }
}

}  // namespace

std::string study_csv(const Study& study) {
  const Verdict verdict = decide(study);
  std::vector<std::string> titles;
  std::vector<Cells> rows;
  for (size_t i = 0; i < study.rows.size(); ++i)
    add_row(study.rows[i], verdict.losses[i], rows.emplace_back(titles));
  std::vector<Column> columns;
  for (const std::string& title : titles) columns.push_back({title});
  Table table(std::move(columns));
  for (const Cells& row : rows) table.add(row.in_order());
  return table.csv();
}

}  // namespace aquatint::report
