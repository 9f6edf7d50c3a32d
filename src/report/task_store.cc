#include "report/task_store.h"

#include "base/error.h"
#include "base/json.h"
#include "report/sqlite.h"

namespace aquatint::report {
namespace {

using base::Json;

constexpr int64_t kApplicationId = 0x41515454;  // "AQTT", in SQLite's file header
constexpr int64_t kSchemaVersion = 1;

// task_item.log_likelihoods, tokens: JSON lists; numbers read back as they were.
constexpr const char* kSchema = R"sql(
CREATE TABLE task_run(
  id INTEGER PRIMARY KEY, model_sha256 TEXT NOT NULL, task_sha256 TEXT NOT NULL, settings TEXT NOT NULL, model TEXT NOT NULL,
  task TEXT NOT NULL, kind TEXT NOT NULL, version TEXT NOT NULL, cpu TEXT NOT NULL, date TEXT NOT NULL, shots INTEGER NOT NULL,
  baseline REAL NOT NULL, cut INTEGER NOT NULL, UNIQUE(model_sha256, task_sha256, settings));
CREATE TABLE task_item(
  run_id INTEGER NOT NULL REFERENCES task_run(id) ON DELETE CASCADE, i INTEGER NOT NULL, log_likelihoods TEXT NOT NULL,
  greedy INTEGER NOT NULL, text TEXT NOT NULL, tokens TEXT NOT NULL, PRIMARY KEY(run_id, i)) WITHOUT ROWID;
CREATE TABLE task_score(
  run_id INTEGER NOT NULL REFERENCES task_run(id) ON DELETE CASCADE, key TEXT NOT NULL, value REAL, stderr REAL,
  PRIMARY KEY(run_id, key)) WITHOUT ROWID;
)sql";

template <class T>
std::vector<T> numbers(const Json& list, const std::string& where) {
  std::vector<T> values;
  if (!list.is_array()) throw base::BadInput(where + ": an item is damaged, expected a list of numbers");
  for (const Json& value : list) {
    if (!value.is_number()) throw base::BadInput(where + ": an item is damaged, expected numbers");
    values.push_back(value.get<T>());
  }
  return values;
}

void read_items(Database& database, int64_t run, TaskRecord& record) {
  Statement items(database,
                  "SELECT log_likelihoods, greedy, text, tokens FROM task_item WHERE run_id = ? ORDER BY i");
  const std::string where = database.path().string();
  for (items.bind(run); items.step();)
    record.items.push_back({numbers<double>(base::parse_json(items.text(0), where), where),
                            items.integer(1) != 0, items.text(2),
                            numbers<int32_t>(base::parse_json(items.text(3), where), where)});
  Statement scores(database, "SELECT key, value, stderr FROM task_score WHERE run_id = ? ORDER BY key");
  for (scores.bind(run); scores.step();)
    record.scores.push_back({scores.text(0), scores.number(1), scores.number(2)});
}

}  // namespace

TaskStore::TaskStore(const std::filesystem::path& path) : database_(std::make_unique<Database>(path, true)) {
  open_schema(*database_, {kApplicationId, kSchemaVersion, kSchema, "a store of task results"}, true);
}
TaskStore::~TaskStore() = default;

std::optional<TaskRecord> TaskStore::find(const std::string& model_sha256, const std::string& task_sha256,
                                          const std::string& settings) {
  Statement run(*database_,
                "SELECT id, model, task, kind, version, cpu, date, shots, baseline, cut FROM task_run "
                "WHERE model_sha256 = ? AND task_sha256 = ? AND settings = ?");
  run.bind(model_sha256, task_sha256, settings);
  if (!run.step()) return std::nullopt;
  TaskRecord record;
  record.model_sha256 = model_sha256;
  record.task_sha256 = task_sha256;
  record.settings = settings;
  record.model = run.text(1);
  record.task = run.text(2);
  record.kind = run.text(3);
  record.version = run.text(4);
  record.cpu = run.text(5);
  record.date = run.text(6);
  record.shots = static_cast<int>(run.integer(7));
  record.baseline = run.number(8);
  record.cut = run.integer(9);
  read_items(*database_, run.integer(0), record);
  return record;
}

void TaskStore::save(const TaskRecord& r) {
  Transaction transaction(*database_);
  Statement(*database_, "DELETE FROM task_run WHERE model_sha256 = ? AND task_sha256 = ? AND settings = ?")
      .bind(r.model_sha256, r.task_sha256, r.settings)
      .run();
  Statement(*database_,
            "INSERT INTO task_run(model_sha256, task_sha256, settings, model, task, kind, version, cpu, "
            "date, shots, baseline, cut) "
            "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(r.model_sha256, r.task_sha256, r.settings, r.model, r.task, r.kind, r.version, r.cpu, r.date,
            r.shots, r.baseline, r.cut)
      .run();
  const int64_t run = database_->last_row_id();
  Statement item(*database_, "INSERT INTO task_item VALUES(?, ?, ?, ?, ?, ?)");
  for (size_t i = 0; i < r.items.size(); ++i)
    item.bind(run, static_cast<int64_t>(i), Json(r.items[i].log_likelihoods).dump(),
              int64_t{r.items[i].greedy}, r.items[i].text, Json(r.items[i].tokens).dump())
        .run();
  Statement score(*database_, "INSERT INTO task_score VALUES(?, ?, ?, ?)");
  for (const TaskRecord::Score& each : r.scores)
    score.bind(run, each.key, each.value, each.standard_error).run();
  transaction.commit();
}

}  // namespace aquatint::report
