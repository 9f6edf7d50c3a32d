// The SQLite store of a study: every number with what is needed to repeat it. One file, no write-ahead log,
// so it can be copied while nothing writes. The schema is stated in store.cc and stays readable for other
// programs.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "report/study_data.h"

namespace aquatint::report {

class Store {
 public:
  enum class Mode {
    read,   // must exist; never written
    write,  // made when absent
  };
  // BadInput when the file is not a store of ours, is damaged, or comes from a newer version; OutOfResource
  // when another process holds it for seconds, the disk is full or the file cannot be written.
  Store(const std::filesystem::path& path, Mode mode);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  void save_facts(const StudyFacts& facts);  // replaces the earlier ones
  // Appears whole or not at all, and replaces an earlier row of the same fingerprint.
  void save_row(const StudyRow& row);

  StudyFacts load_facts() const;
  std::vector<StudyRow> load_rows() const;  // by position
  Study load() const { return {load_facts(), load_rows()}; }
  std::optional<StudyRow> find_row(std::string_view fingerprint) const;  // for --resume

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace aquatint::report
