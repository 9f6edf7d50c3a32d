#include "report/task_store.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "report/sqlite.h"

namespace aquatint::report {
namespace {

using base::Json;

constexpr int64_t kApplicationId = 0x41515454;  // "AQTT", in SQLite's file header
constexpr int64_t kSchemaVersion = 2;

// Lists are JSON: numbers read back as they were. task_score.weights: '[]' where all are 1.
constexpr const char* kSchema = R"sql(
CREATE TABLE task_run(
  id INTEGER PRIMARY KEY, model_sha256 TEXT NOT NULL, task_sha256 TEXT NOT NULL, settings TEXT NOT NULL, model TEXT NOT NULL,
  task TEXT NOT NULL, kind TEXT NOT NULL, version TEXT NOT NULL, cpu TEXT NOT NULL, date TEXT NOT NULL, shots INTEGER NOT NULL,
  baseline REAL NOT NULL, cut INTEGER NOT NULL, items_sha256 TEXT NOT NULL DEFAULT '', n INTEGER NOT NULL DEFAULT 0,
  duplicates INTEGER NOT NULL DEFAULT 0, UNIQUE(model_sha256, task_sha256, settings));
CREATE TABLE task_item(
  run_id INTEGER NOT NULL REFERENCES task_run(id) ON DELETE CASCADE, i INTEGER NOT NULL, log_likelihoods TEXT NOT NULL,
  greedy INTEGER NOT NULL, text TEXT NOT NULL, tokens TEXT NOT NULL, PRIMARY KEY(run_id, i)) WITHOUT ROWID;
CREATE TABLE task_score(
  run_id INTEGER NOT NULL REFERENCES task_run(id) ON DELETE CASCADE, key TEXT NOT NULL, value REAL, stderr REAL,
  position INTEGER NOT NULL DEFAULT 0, aggregation INTEGER NOT NULL DEFAULT 0, item_values TEXT NOT NULL DEFAULT '[]',
  weights TEXT NOT NULL DEFAULT '[]', PRIMARY KEY(run_id, key)) WITHOUT ROWID;
CREATE TABLE task_text(
  task_sha256 TEXT NOT NULL, i INTEGER NOT NULL, line INTEGER NOT NULL, question TEXT NOT NULL, options TEXT NOT NULL,
  PRIMARY KEY(task_sha256, i)) WITHOUT ROWID;
)sql";

// Version 2: scores of each item and texts, so that comparisons need no documents.
constexpr const char* kSteps[] = {R"sql(
ALTER TABLE task_run ADD COLUMN items_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE task_run ADD COLUMN n INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task_run ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task_score ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task_score ADD COLUMN aggregation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task_score ADD COLUMN item_values TEXT NOT NULL DEFAULT '[]';
ALTER TABLE task_score ADD COLUMN weights TEXT NOT NULL DEFAULT '[]';
UPDATE task_run SET n = (SELECT count(*) FROM task_item WHERE run_id = id);
CREATE TABLE task_text(
  task_sha256 TEXT NOT NULL, i INTEGER NOT NULL, line INTEGER NOT NULL, question TEXT NOT NULL, options TEXT NOT NULL,
  PRIMARY KEY(task_sha256, i)) WITHOUT ROWID;
)sql"};

constexpr Schema kTables = {kApplicationId, kSchemaVersion, kSchema, "a store of task results", kSteps};

constexpr const char* kRunColumns =
    "SELECT id, model_sha256, task_sha256, settings, items_sha256, model, version, cpu, date, task, kind, "
    "shots, baseline, n, cut, duplicates FROM task_run ";

std::string text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// A list that a statement's column holds as JSON; `Value` as it is stored there.
template <class Value>
std::vector<Value> list(Database& database, const Statement& statement, int column) {
  const std::string where = database.path().string();
  const Json json = base::parse_json(statement.text(column), where);
  const auto fits = [](const Json& value) {
    if constexpr (std::is_integral_v<Value>) return value.is_number_integer();
    if constexpr (std::is_floating_point_v<Value>) return value.is_number();
    return value.is_string();
  };
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), fits))
    throw base::BadInput(fmt::format("{}: an item is damaged; restore a copy of the store", where));
  return json.get<std::vector<Value>>();
}

template <class Enum>
Enum enumerator(Database& database, int64_t value, Enum last) {
  if (value < 0 || value > static_cast<int64_t>(last))
    throw base::BadInput(fmt::format("{}: a score is combined in way {}, expected 0 to {}",
                                     database.path().string(), value, static_cast<int64_t>(last)));
  return static_cast<Enum>(value);
}

void read_items(Database& database, int64_t run, eval::TaskResult& result) {
  Statement s(database,
              "SELECT log_likelihoods, greedy, text, tokens FROM task_item WHERE run_id = ? ORDER BY i");
  for (s.bind(run); s.step();)
    result.items.push_back(
        {list<double>(database, s, 0), s.integer(1) != 0, s.text(2), list<int32_t>(database, s, 3)});
}

void read_scores(Database& database, int64_t run, eval::TaskResult& result) {
  Statement s(database,
              "SELECT key, value, stderr, aggregation, item_values, weights FROM task_score WHERE run_id = ? "
              "ORDER BY position, key");
  for (s.bind(run); s.step();) {
    eval::Metric& metric = result.metrics.emplace_back();
    const std::string key = s.text(0);
    const size_t comma = std::min(key.find(','), key.size());
    metric.name = key.substr(0, comma);
    metric.filter = key.substr(std::min(comma + 1, key.size()));
    metric.value = s.number(1);
    metric.standard_error = s.number(2);
    metric.aggregation = enumerator(database, s.integer(3), eval::Aggregation::bits_per_byte);
    metric.values = list<double>(database, s, 4);
    metric.weights = list<double>(database, s, 5);
    if (metric.weights.empty()) metric.weights.assign(metric.values.size(), 1);
  }
}

void read_texts(Database& database, const std::string& task_sha256, eval::TaskResult& result) {
  Statement s(database, "SELECT line, question, options FROM task_text WHERE task_sha256 = ? ORDER BY i");
  for (s.bind(task_sha256); s.step();)
    result.texts.push_back({s.integer(0), s.text(1), list<std::string>(database, s, 2)});
}

// What the tables say belongs together must: sizes are trusted afterwards.
void check_sizes(const Database& database, const TaskRecord& record) {
  const eval::TaskResult& result = record.result;
  bool good = result.texts.empty() || result.texts.size() == result.items.size();
  for (const eval::Metric& metric : result.metrics)
    good = good && metric.weights.size() == metric.values.size() &&
           (metric.values.empty() || metric.values.size() == result.items.size());
  for (size_t i = 0; good && i < result.texts.size(); ++i)
    good = result.texts[i].options.size() == result.items[i].log_likelihoods.size();
  if (!good)
    throw base::BadInput(fmt::format("{}: {} of {} is damaged: lists of different lengths for its {} items",
                                     database.path().string(), result.name, record.model,
                                     result.items.size()));
}

TaskRecord read(Database& database, const Statement& run) {
  TaskRecord record;
  record.model_sha256 = run.text(1);
  record.task_sha256 = run.text(2);
  record.settings = run.text(3);
  record.items_sha256 = run.text(4);
  record.model = run.text(5);
  record.version = run.text(6);
  record.cpu = run.text(7);
  record.date = run.text(8);
  eval::TaskResult& result = record.result;
  result.name = run.text(9);
  const auto kind = eval::task_kind_named(run.text(10));
  if (!kind)
    throw base::BadInput(fmt::format("{}: {} is of kind '{}', which is unknown", database.path().string(),
                                     result.name, run.text(10)));
  result.kind = *kind;
  result.shots = static_cast<int>(std::clamp<int64_t>(run.integer(11), 0, INT32_MAX));
  result.baseline = run.number(12);
  result.n = run.integer(13);
  result.cut = run.integer(14);
  result.duplicates = run.integer(15);
  read_items(database, run.integer(0), result);
  read_scores(database, run.integer(0), result);
  read_texts(database, record.task_sha256, result);
  check_sizes(database, record);
  return record;
}

void insert_items(Database& database, int64_t run, const eval::TaskResult& result) {
  Statement s(database, "INSERT INTO task_item VALUES(?, ?, ?, ?, ?, ?)");
  int64_t i = 0;
  for (const eval::ItemResult& item : result.items)
    s.bind(run, i++, text(item.log_likelihoods), int64_t{item.greedy}, item.text, text(item.tokens)).run();
}

void insert_scores(Database& database, int64_t run, const eval::TaskResult& result) {
  Statement s(database,
              "INSERT INTO task_score(run_id, key, value, stderr, position, aggregation, item_values, "
              "weights) VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
  int64_t position = 0;
  for (const eval::Metric& m : result.metrics) {
    const bool weighted = std::any_of(m.weights.begin(), m.weights.end(), [](double w) { return w != 1; });
    s.bind(run, m.key(), m.value, m.standard_error, position++, static_cast<int64_t>(m.aggregation),
           text(m.values), text(weighted ? m.weights : std::vector<double>()))
        .run();
  }
}

void insert_texts(Database& database, const TaskRecord& record) {
  Statement(database, "DELETE FROM task_text WHERE task_sha256 = ?").bind(record.task_sha256).run();
  Statement s(database, "INSERT INTO task_text VALUES(?, ?, ?, ?, ?)");
  int64_t i = 0;
  for (const eval::ItemText& item : record.result.texts)
    s.bind(record.task_sha256, i++, item.line, item.question, text(item.options)).run();
}

}  // namespace

TaskStore::TaskStore(const std::filesystem::path& path) : database_(std::make_unique<Database>(path, true)) {
  open_schema(*database_, kTables, true);
}
TaskStore::TaskStore() : TaskStore(":memory:") {}
TaskStore::~TaskStore() = default;

std::optional<TaskRecord> TaskStore::find(const std::string& model_sha256, const std::string& task_sha256,
                                          const std::string& settings) const {
  Statement run(
      *database_,
      (std::string(kRunColumns) + "WHERE model_sha256 = ? AND task_sha256 = ? AND settings = ?").c_str());
  run.bind(model_sha256, task_sha256, settings);
  if (!run.step()) return std::nullopt;
  return read(*database_, run);
}

std::vector<TaskRecord> TaskStore::all() const {
  std::vector<TaskRecord> records;
  Statement run(*database_, (std::string(kRunColumns) + "ORDER BY id").c_str());
  while (run.step()) records.push_back(read(*database_, run));
  return records;
}

void TaskStore::save(const TaskRecord& r) {
  Transaction transaction(*database_);
  Statement(*database_, "DELETE FROM task_run WHERE model_sha256 = ? AND task_sha256 = ? AND settings = ?")
      .bind(r.model_sha256, r.task_sha256, r.settings)
      .run();
  Statement(*database_,
            "INSERT INTO task_run(model_sha256, task_sha256, settings, items_sha256, model, version, cpu, "
            "date, task, kind, shots, baseline, n, cut, duplicates) "
            "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(r.model_sha256, r.task_sha256, r.settings, r.items_sha256, r.model, r.version, r.cpu, r.date,
            r.result.name, eval::task_kind_name(r.result.kind), r.result.shots, r.result.baseline, r.result.n,
            r.result.cut, r.result.duplicates)
      .run();
  const int64_t run = database_->last_row_id();
  insert_items(*database_, run, r.result);
  insert_scores(*database_, run, r.result);
  insert_texts(*database_, r);
  transaction.commit();
}

bool is_task_store(const std::filesystem::path& path) {
  Database database(path, false);
  return application_id(database) == kApplicationId;
}

}  // namespace aquatint::report
