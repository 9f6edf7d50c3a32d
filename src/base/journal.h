// A file of records that outlive the process: each is durable once append() returns. One line each, a
// checksum and a JSON document.
#pragma once
#include <filesystem>
#include <vector>

#include "base/growing_file.h"
#include "base/json.h"

namespace aquatint::base {

class Journal {
 public:
  // Made where it is not. Records up to the first that is torn or damaged are found; what lies behind them is
  // forgotten.
  explicit Journal(const std::filesystem::path& path);

  const std::vector<Json>& found() const { return found_; }
  void append(const Json& record);

 private:
  std::vector<Json> found_;
  GrowingFile file_;
};

// The whole records at the start of a journal's text; `bytes` becomes their length.
std::vector<Json> parse_journal(std::string_view text, uint64_t& bytes);

}  // namespace aquatint::base
