#include "report/sqlite.h"

#include <sqlite3.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace aquatint::report {
namespace {

constexpr int kBusyMilliseconds = 10000;

}  // namespace

Database::Database(const std::filesystem::path& path, bool create) : path_(path) {
  try {
    open(create);
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

void Database::open(bool create) {
  // Read-write even for reading: only so can SQLite undo what a killed writer left half done.
  const int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
  int code = sqlite3_open_v2(path_.c_str(), &handle_, flags, nullptr);
  if (code != SQLITE_OK && !create) {
    sqlite3_close(handle_);
    handle_ = nullptr;
    code = sqlite3_open_v2(path_.c_str(), &handle_, SQLITE_OPEN_READONLY, nullptr);
  }
  if (code != SQLITE_OK) fail(code);
  sqlite3_busy_timeout(handle_, kBusyMilliseconds);
  // The file may come from a stranger: its schema may not call functions, nor statements of ours corrupt it.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  execute("PRAGMA foreign_keys = ON");
}

Database::~Database() { sqlite3_close(handle_); }

void Database::execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

int64_t Database::last_row_id() const { return sqlite3_last_insert_rowid(handle_); }

void Database::fail(int code) const {
  const char* reason = handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      throw base::BadInput(fmt::format("{}: not an SQLite file, expected a store written by `aquatint study`",
                                       path_.string()));
    case SQLITE_CANTOPEN:
      throw base::BadInput(
          fmt::format("{}: cannot be opened as a store ({}); check the path and its permissions",
                      path_.string(), reason));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw base::OutOfResource(
          fmt::format("{}: held by another process for {} s; wait until it is done and run again",
                      path_.string(), kBusyMilliseconds / 1000));
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      throw base::OutOfResource(fmt::format("{}: cannot be written ({}); free space or choose another place",
                                            path_.string(), reason));
    default:
      throw base::BadInput(fmt::format("{}: damaged store ({}); restore a copy or run the study again",
                                       path_.string(), reason));
  }
}

Statement::Statement(Database& database, const char* sql) : database_(database) {
  const int code = sqlite3_prepare_v2(database.handle(), sql, -1, &statement_, nullptr);
  if (code != SQLITE_OK) database.fail(code);
}

Statement::~Statement() { sqlite3_finalize(statement_); }

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_.fail(code);
  return false;
}

void Statement::run() {
  while (step()) {
  }
  sqlite3_reset(statement_);
}

std::string Statement::text(int column) const {
  const auto* bytes = sqlite3_column_text(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes ? std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)) : std::string();
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

double Statement::number(int column) const {
  if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::numeric_limits<double>::quiet_NaN();
  return sqlite3_column_double(statement_, column);
}

void Statement::bind_one(int index, std::string_view value) {
  const int code = sqlite3_bind_text64(statement_, index, value.data() ? value.data() : "", value.size(),
                                       SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) database_.fail(code);
}

void Statement::bind_one(int index, int64_t value) {
  const int code = sqlite3_bind_int64(statement_, index, value);
  if (code != SQLITE_OK) database_.fail(code);
}

void Statement::bind_one(int index, double value) {
  const int code = std::isnan(value) ? sqlite3_bind_null(statement_, index)
                                     : sqlite3_bind_double(statement_, index, value);
  if (code != SQLITE_OK) database_.fail(code);
}

Transaction::~Transaction() {
  // A failed rollback leaves the journal, which the next opener plays back: nothing to report here.
  if (!committed_) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.execute("COMMIT");
  committed_ = true;
}

namespace {

int64_t number_of(Database& database, const char* query) {
  Statement statement(database, query);
  statement.step();
  return statement.integer(0);
}

constexpr const char* kCountObjects = "SELECT count(*) FROM sqlite_master";
constexpr const char* kVersion = "PRAGMA user_version";

void set_version(Database& database, int64_t version) {
  database.execute(fmt::format("PRAGMA user_version = {}", version).c_str());
}

void create_tables(Database& database, const Schema& schema) {
  Transaction transaction(database);
  // Another process may have made them between our look and our lock.
  if (number_of(database, kCountObjects) == 0) {
    database.execute(schema.sql);
    database.execute(fmt::format("PRAGMA application_id = {}", schema.application_id).c_str());
    set_version(database, schema.version);
  }
  transaction.commit();
}

void bring_up_to_date(Database& database, const Schema& schema) {
  Transaction transaction(database);
  for (int64_t version = number_of(database, kVersion); version >= 1 && version < schema.version; ++version) {
    database.execute(schema.steps[static_cast<size_t>(version - 1)]);
    set_version(database, version + 1);
  }
  transaction.commit();
}

}  // namespace

int64_t application_id(Database& database) { return number_of(database, "PRAGMA application_id"); }

void open_schema(Database& database, const Schema& schema, bool create) {
  const std::string path = database.path().string();
  if (create && application_id(database) == 0 && number_of(database, kCountObjects) == 0)
    create_tables(database, schema);
  if (const int64_t id = application_id(database); id != schema.application_id)
    throw base::BadInput(fmt::format("{}: an SQLite file, but not {} (application id {:#x}, expected {:#x})",
                                     path, schema.description, id, schema.application_id));
  int64_t version = number_of(database, kVersion);
  if (version >= 1 && version < schema.version && std::ssize(schema.steps) == schema.version - 1) {
    bring_up_to_date(database, schema);
    version = number_of(database, kVersion);
  }
  if (version != schema.version)
    throw base::BadInput(
        fmt::format("{}: store of schema version {}, this program reads {}; use the program that wrote it",
                    path, version, schema.version));
}

}  // namespace aquatint::report
