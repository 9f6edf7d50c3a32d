#include "report/store.h"

#include <algorithm>
#include <limits>
#include <map>
#include <type_traits>

#include "base/error.h"
#include "base/json.h"
#include "base/statistics.h"
#include "report/fields.h"
#include "report/sqlite.h"

namespace aquatint::report {
namespace {

constexpr int64_t kApplicationId = 0x41515449;  // "AQTI", in SQLite's file header
constexpr int64_t kSchemaVersion = 1;

// metric.task: the task of an accuracy, the workload of a speed, '' elsewhere. sample: the repeats behind a
// speed, the windows behind a perplexity, right (1) or wrong (0) of each item behind an accuracy.
constexpr const char* kSchema = R"sql(
CREATE TABLE fact(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE run(
  id INTEGER PRIMARY KEY, model_sha256 TEXT NOT NULL, scheme TEXT NOT NULL, method TEXT NOT NULL, recipe TEXT NOT NULL,
  seed INTEGER NOT NULL, version TEXT NOT NULL, cpu TEXT NOT NULL, device TEXT NOT NULL, kernels TEXT NOT NULL,
  date TEXT NOT NULL, command TEXT NOT NULL, kind TEXT NOT NULL, layout TEXT NOT NULL, position INTEGER NOT NULL,
  fingerprint TEXT NOT NULL UNIQUE, group_size INTEGER NOT NULL, preset_group_size INTEGER NOT NULL);
CREATE TABLE metric(
  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, name TEXT NOT NULL, task TEXT NOT NULL,
  value REAL, stderr REAL, n INTEGER NOT NULL, unit TEXT NOT NULL, UNIQUE(run_id, name, task));
CREATE TABLE sample(
  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, name TEXT NOT NULL, task TEXT NOT NULL,
  i INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY(run_id, name, task, i)) WITHOUT ROWID;
CREATE TABLE workload(
  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, i INTEGER NOT NULL, task TEXT NOT NULL,
  batch INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, generate_tokens INTEGER NOT NULL,
  PRIMARY KEY(run_id, i)) WITHOUT ROWID;
CREATE TABLE layer(
  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, i INTEGER NOT NULL, name TEXT NOT NULL,
  relative_error REAL, basis TEXT NOT NULL, PRIMARY KEY(run_id, i)) WITHOUT ROWID;
CREATE TABLE note(
  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, i INTEGER NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY(run_id, i)) WITHOUT ROWID;
)sql";

constexpr const char* kRunColumns =
    "SELECT id, model_sha256, scheme, method, recipe, seed, version, cpu, device, kernels, date, command, "
    "kind, layout, "
    "position, fingerprint, group_size, preset_group_size FROM run ";

constexpr std::pair<RowKind, const char*> kKinds[] = {
    {RowKind::reference, "reference"}, {RowKind::baseline, "baseline"}, {RowKind::candidate, "candidate"}};

const char* kind_name(RowKind kind) {
  return std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& k) { return k.first == kind; })
      ->second;
}

std::string workload_name(const SpeedResult& s) {
  return fmt::format("batch={} prompt={} generate={}", s.batch, s.prompt_tokens, s.generate_tokens);
}

int small_int(const Statement& s, int column) {
  return static_cast<int>(std::clamp<int64_t>(s.integer(column), std::numeric_limits<int>::min(),
                                              std::numeric_limits<int>::max()));
}

// Values of facts are JSON, so that text, numbers and lists keep their types.
base::Json peaks_json(const StudyFacts& facts) {
  base::Json list = base::Json::array();
  for (const auto& peak : facts.peak_flop_s) list.push_back({{"type", peak.type}, {"flop_s", peak.flop_s}});
  return list;
}

std::string dump(const base::Json& json) {
  return json.dump(-1, ' ', false, base::Json::error_handler_t::replace);
}

template <class Field>
void read_fact(const base::Json& value, Field& field) {
  if constexpr (std::is_floating_point_v<Field>)
    field = value.is_null() ? kNotMeasured : value.get<double>();
  else
    field = value.get<Field>();
}

}  // namespace

struct Store::State {
  Database database;

  State(const std::filesystem::path& path, Mode mode) : database(path, mode == Mode::write) {
    open_schema(database, {kApplicationId, kSchemaVersion, kSchema, "a store written by `aquatint study`"},
                mode == Mode::write);
  }

  int64_t insert_run(const StudyRow& row);
  void insert_metrics(int64_t run, const StudyRow& row);
  void insert_samples(int64_t run, const char* name, const std::string& task,
                      const std::vector<double>& values);
  void insert_speed(int64_t run, const StudyRow& row);
  void insert_lists(int64_t run, const StudyRow& row);

  StudyRow read_run(const Statement& s);
  void read_metrics(int64_t run, StudyRow& row);
  void read_speed(int64_t run, StudyRow& row);
  void read_lists(int64_t run, StudyRow& row);
  std::vector<double> read_samples(int64_t run, const char* name, const std::string& task);
  void complete(int64_t run, StudyRow& row);
};

int64_t Store::State::insert_run(const StudyRow& row) {
  Statement(database, "DELETE FROM run WHERE fingerprint = ?").bind(row.fingerprint).run();
  const Provenance& p = row.provenance;
  Statement(database,
            "INSERT INTO run(model_sha256, scheme, method, recipe, seed, version, cpu, device, kernels, "
            "date, command, "
            "kind, layout, position, fingerprint, group_size, preset_group_size) "
            "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
      .bind(p.model_sha256, row.scheme, row.method, p.recipe, static_cast<int64_t>(p.seed), p.version, p.cpu,
            p.device, p.kernels, p.date, p.command, kind_name(row.kind), row.layout, row.position,
            row.fingerprint, row.group, row.preset_group)
      .run();
  return database.last_row_id();
}

void Store::State::insert_metrics(int64_t run, const StudyRow& row) {
  Statement insert(database,
                   "INSERT INTO metric(run_id, name, task, value, stderr, n, unit) VALUES(?,?,?,?,?,?,?)");
  const auto add = [&](const char* name, const std::string& task, const Measured& m, const char* unit) {
    if (m.known()) insert.bind(run, name, task, m.value, m.error, m.n, unit).run();
  };
  each_number(row, [&](const char* name, const char* unit, double value) { add(name, "", {value}, unit); });
  each_estimate(row, [&](const char* name, const char* unit, const Measured& m) { add(name, "", m, unit); });
  for (const MemoryPart& part : row.memory) add("memory", part.name, {part.bytes}, "bytes");
  for (const TaskResult& task : row.tasks) {
    add("acc,none", task.name, task.accuracy, "fraction");
    add("acc_norm,none", task.name, task.accuracy_norm, "fraction");
    add("baseline", task.name, {task.baseline}, "fraction");
    insert_samples(run, "acc,none", task.name, {task.correct.begin(), task.correct.end()});
  }
  insert_samples(run, "window_nll", "", row.window_nll);
  insert_samples(run, "kld_by_position", "", row.kld_by_position);
}

void Store::State::insert_samples(int64_t run, const char* name, const std::string& task,
                                  const std::vector<double>& values) {
  Statement insert(database, "INSERT INTO sample(run_id, name, task, i, value) VALUES(?,?,?,?,?)");
  for (size_t i = 0; i < values.size(); ++i)
    insert.bind(run, name, task, static_cast<int64_t>(i), values[i]).run();
}

void Store::State::insert_speed(int64_t run, const StudyRow& row) {
  Statement workload(
      database,
      "INSERT INTO workload(run_id, i, task, batch, prompt_tokens, generate_tokens) VALUES(?,?,?,?,?,?)");
  Statement metric(database,
                   "INSERT INTO metric(run_id, name, task, value, stderr, n, unit) VALUES(?,?,?,?,?,?,?)");
  int64_t i = 0;
  for (const SpeedResult& s : row.speed) {
    const std::string task = workload_name(s);
    workload.bind(run, i++, task, s.batch, s.prompt_tokens, s.generate_tokens).run();
    const auto add_rate = [&](const char* name, const std::vector<double>& samples) {
      if (samples.empty()) return;
      metric
          .bind(run, name, task, base::summarize(samples).mean, base::standard_error(samples),
                static_cast<int64_t>(samples.size()), "tokens/s")
          .run();
      insert_samples(run, name, task, samples);
    };
    add_rate("prefill_tokens_per_second", s.prefill);
    add_rate("decode_tokens_per_second", s.decode);
    metric.bind(run, "bandwidth_utilization", task, s.bandwidth_utilization, kNotMeasured, 1, "fraction")
        .run();
    metric.bind(run, "flop_utilization", task, s.flop_utilization, kNotMeasured, 1, "fraction").run();
    metric.bind(run, "prefill_joules_per_token", task, s.prefill_joules, kNotMeasured, 1, "J").run();
    metric.bind(run, "decode_joules_per_token", task, s.decode_joules, kNotMeasured, 1, "J").run();
  }
}

void Store::State::insert_lists(int64_t run, const StudyRow& row) {
  Statement layer(database, "INSERT INTO layer(run_id, i, name, relative_error, basis) VALUES(?,?,?,?,?)");
  for (size_t i = 0; i < row.layers.size(); ++i)
    layer
        .bind(run, static_cast<int64_t>(i), row.layers[i].name, row.layers[i].relative_error,
              row.layers[i].basis)
        .run();
  Statement note(database, "INSERT INTO note(run_id, i, text) VALUES(?,?,?)");
  for (size_t i = 0; i < row.notes.size(); ++i) note.bind(run, static_cast<int64_t>(i), row.notes[i]).run();
}

StudyRow Store::State::read_run(const Statement& s) {
  StudyRow row;
  Provenance& p = row.provenance;
  p.model_sha256 = s.text(1);
  row.scheme = s.text(2);
  row.method = s.text(3);
  p.recipe = s.text(4);
  p.seed = static_cast<uint64_t>(s.integer(5));
  p.version = s.text(6);
  p.cpu = s.text(7);
  p.device = s.text(8);
  p.kernels = s.text(9);
  p.date = s.text(10);
  p.command = s.text(11);
  const std::string kind = s.text(12);
  const auto known =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& k) { return kind == k.second; });
  if (known == std::end(kKinds))
    throw base::BadInput(fmt::format("{}: run {} is of kind '{}', expected reference, baseline or candidate",
                                     database.path().string(), s.integer(0), kind));
  row.kind = known->first;
  row.layout = s.text(13);
  row.position = small_int(s, 14);
  row.fingerprint = s.text(15);
  row.group = small_int(s, 16);
  row.preset_group = small_int(s, 17);
  return row;
}

void Store::State::read_metrics(int64_t run, StudyRow& row) {
  Statement s(database, "SELECT name, task, value, stderr, n FROM metric WHERE run_id = ? ORDER BY rowid");
  s.bind(run);
  std::map<std::string, Measured> plain;
  const auto task_named = [&](const std::string& name) -> TaskResult& {
    const auto found =
        std::find_if(row.tasks.begin(), row.tasks.end(), [&](const auto& t) { return t.name == name; });
    return found != row.tasks.end() ? *found : row.tasks.emplace_back(TaskResult{.name = name});
  };
  while (s.step()) {
    const std::string name = s.text(0), task = s.text(1);
    const Measured value = {s.number(2), s.number(3), s.integer(4)};
    if (name == "acc,none")
      task_named(task).accuracy = value;
    else if (name == "acc_norm,none")
      task_named(task).accuracy_norm = value;
    else if (name == "baseline")
      task_named(task).baseline = value.value;
    else if (name == "memory")
      row.memory.push_back({task, value.value});
    else if (task.empty())
      plain[name] = value;
  }
  each_number(row, [&](const char* name, const char*, double& value) { value = plain[name].value; });
  each_estimate(row, [&](const char* name, const char*, Measured& value) { value = plain[name]; });
  for (TaskResult& task : row.tasks)
    for (const double right : read_samples(run, "acc,none", task.name)) task.correct.push_back(right != 0);
  row.window_nll = read_samples(run, "window_nll", "");
  row.kld_by_position = read_samples(run, "kld_by_position", "");
}

void Store::State::read_speed(int64_t run, StudyRow& row) {
  Statement s(database,
              "SELECT task, batch, prompt_tokens, generate_tokens FROM workload WHERE run_id = ? ORDER BY i");
  s.bind(run);
  Statement metric(database, "SELECT value FROM metric WHERE run_id = ? AND name = ? AND task = ?");
  while (s.step()) {
    SpeedResult speed{
        .batch = small_int(s, 1), .prompt_tokens = small_int(s, 2), .generate_tokens = small_int(s, 3)};
    const std::string task = s.text(0);
    speed.prefill = read_samples(run, "prefill_tokens_per_second", task);
    speed.decode = read_samples(run, "decode_tokens_per_second", task);
    const auto number = [&](const char* name) {
      const double value = metric.bind(run, name, task).step() ? metric.number(0) : kNotMeasured;
      metric.run();
      return value;
    };
    speed.bandwidth_utilization = number("bandwidth_utilization");
    speed.flop_utilization = number("flop_utilization");
    speed.prefill_joules = number("prefill_joules_per_token");
    speed.decode_joules = number("decode_joules_per_token");
    row.speed.push_back(std::move(speed));
  }
}

void Store::State::read_lists(int64_t run, StudyRow& row) {
  Statement layer(database, "SELECT name, relative_error, basis FROM layer WHERE run_id = ? ORDER BY i");
  layer.bind(run);
  while (layer.step()) row.layers.push_back({layer.text(0), layer.number(1), layer.text(2)});
  Statement note(database, "SELECT text FROM note WHERE run_id = ? ORDER BY i");
  note.bind(run);
  while (note.step()) row.notes.push_back(note.text(0));
}

std::vector<double> Store::State::read_samples(int64_t run, const char* name, const std::string& task) {
  Statement s(database, "SELECT value FROM sample WHERE run_id = ? AND name = ? AND task = ? ORDER BY i");
  s.bind(run, name, task);
  std::vector<double> values;
  while (s.step()) values.push_back(s.number(0));
  return values;
}

void Store::State::complete(int64_t run, StudyRow& row) {
  read_metrics(run, row);
  read_speed(run, row);
  read_lists(run, row);
}

Store::Store(const std::filesystem::path& path, Mode mode) : state_(std::make_unique<State>(path, mode)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

void Store::save_facts(const StudyFacts& facts) {
  Database& database = state_->database;
  Transaction transaction(database);
  database.execute("DELETE FROM fact");
  Statement insert(database, "INSERT INTO fact(key, value) VALUES(?,?)");
  each_fact(facts,
            [&](const char* key, const auto& value) { insert.bind(key, dump(base::Json(value))).run(); });
  insert.bind("peak_flop_s", dump(peaks_json(facts))).run();
  transaction.commit();
}

void Store::save_row(const StudyRow& row) {
  AQ_CHECK(!row.fingerprint.empty(), "row {} has no fingerprint", row.scheme);
  Transaction transaction(state_->database);
  const int64_t run = state_->insert_run(row);
  state_->insert_metrics(run, row);
  state_->insert_speed(run, row);
  state_->insert_lists(run, row);
  transaction.commit();
}

StudyFacts Store::load_facts() const {
  std::map<std::string, std::string> values;
  Statement s(state_->database, "SELECT key, value FROM fact");
  while (s.step()) values[s.text(0)] = s.text(1);
  StudyFacts facts;
  const auto parsed = [&](const std::string& key) {
    return base::parse_json(values[key], fmt::format("{}: fact '{}'", state_->database.path().string(), key));
  };
  try {
    each_fact(facts, [&](const char* key, auto& field) {
      if (values.count(key)) read_fact(parsed(key), field);
    });
    if (values.count("peak_flop_s"))
      for (const auto& peak : parsed("peak_flop_s")) {
        auto& added = facts.peak_flop_s.emplace_back();
        read_fact(peak.at("type"), added.type);
        read_fact(peak.at("flop_s"), added.flop_s);
      }
  } catch (const base::Json::exception& error) {
    throw base::BadInput(fmt::format("{}: a fact has an unexpected type ({}); run the study again",
                                     state_->database.path().string(), error.what()));
  }
  return facts;
}

std::vector<StudyRow> Store::load_rows() const {
  std::vector<StudyRow> rows;
  Statement s(state_->database, (std::string(kRunColumns) + "ORDER BY position, id").c_str());
  while (s.step()) state_->complete(s.integer(0), rows.emplace_back(state_->read_run(s)));
  return rows;
}

std::optional<StudyRow> Store::find_row(std::string_view fingerprint) const {
  Statement s(state_->database, (std::string(kRunColumns) + "WHERE fingerprint = ?").c_str());
  if (!s.bind(fingerprint).step()) return std::nullopt;
  StudyRow row = state_->read_run(s);
  state_->complete(s.integer(0), row);
  return row;
}

}  // namespace aquatint::report
