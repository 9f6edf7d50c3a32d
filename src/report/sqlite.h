// SQLite with our errors: a connection, a prepared statement, a transaction. Internal to the room.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace aquatint::report {

class Database {
 public:
  Database(const std::filesystem::path& path, bool create);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void execute(const char* sql);
  int64_t last_row_id() const;
  // Throws BadInput (damaged, foreign) or OutOfResource (busy, full) for an SQLite result code.
  [[noreturn]] void fail(int code) const;
  const std::filesystem::path& path() const { return path_; }
  sqlite3* handle() const { return handle_; }

 private:
  void open(bool create);

  std::filesystem::path path_;
  sqlite3* handle_ = nullptr;
};

class Statement {
 public:
  Statement(Database& database, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Binds every parameter in order; NaN is stored as NULL.
  template <class... Args>
  Statement& bind(const Args&... args) {
    int index = 0;
    (bind_one(++index, args), ...);
    return *this;
  }
  bool step();  // true: a row is there
  void run();   // step() to the end, then ready to bind again

  std::string text(int column) const;
  int64_t integer(int column) const;
  double number(int column) const;  // NaN for NULL

 private:
  void bind_one(int index, std::string_view value);
  void bind_one(int index, const std::string& value) { bind_one(index, std::string_view(value)); }
  void bind_one(int index, const char* value) { bind_one(index, std::string_view(value)); }
  void bind_one(int index, int64_t value);
  void bind_one(int index, int value) { bind_one(index, int64_t{value}); }
  void bind_one(int index, double value);

  Database& database_;
  sqlite3_stmt* statement_ = nullptr;
};

// Rolled back unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) { database_.execute("BEGIN IMMEDIATE"); }
  ~Transaction();
  void commit();

 private:
  Database& database_;
  bool committed_ = false;
};

// The tables of a file of ours.
struct Schema {
  int64_t application_id, version;  // in SQLite's file header
  const char* sql;
  std::string_view description;             // "a store written by …"
  std::span<const char* const> steps = {};  // steps[i] leads from version i + 1 to the next
};
// Makes the tables in an empty database when `create`, brings older ones up to date; BadInput when the file
// is another one.
void open_schema(Database& database, const Schema& schema, bool create);
int64_t application_id(Database& database);

}  // namespace aquatint::report
