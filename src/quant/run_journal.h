// The journal of one run of quantize(): what is finished, so that another process can go on with exactly the
// same bytes, and what that depends on, so that it refuses when something else is asked.
#pragma once
#include <optional>

#include "base/journal.h"
#include "base/machine.h"
#include "base/work_folder.h"
#include "checkpoint/writer.h"
#include "model/staged_block.h"
#include "quant/plan.h"

namespace aquatint::quant {

// What the bytes of the result depend on.
base::Json run_identity(const checkpoint::Checkpoint& source, const Plan& plan, const QuantizeJob& job,
                        const model::Backend& backend);

// What differs between two of them, for people; empty when nothing does.
std::string what_changed(const base::Json& before, const base::Json& now);

class RunJournal {
 public:
  // Goes on with the finished blocks that lie in the folder when `resume` says so. BadUsage when some do and
  // it does not, or when it was begun with another identity; BadInput when it is damaged.
  RunJournal(base::WorkFolder& folder, const base::Json& identity, bool resume, double time_share);

  int64_t blocks() const { return blocks_; }  // finished

  // Puts the writer and the report where they were.
  void restore(checkpoint::Writer& writer, const Plan& plan, Report& report);
  // The states before block blocks(), into room made for them. BadInput when the file does not hold them.
  void read_states(std::span<model::HiddenStates* const> states) const;

  // After a block, and when `due()`: records may take a share of the time, `time_share`.
  bool due() const;
  void record(int64_t blocks, checkpoint::Writer& writer, const Report& report,
              std::span<model::HiddenStates* const> states);

 private:
  std::filesystem::path states_file(int64_t blocks) const;
  void write_states(int64_t blocks, std::span<model::HiddenStates* const> states) const;

  base::WorkFolder& folder_;
  std::optional<base::Journal> journal_;
  double time_share_;
  int64_t blocks_ = 0;
  size_t layers_ = 0;  // of the report that are recorded
  base::Clock::time_point last_ = base::Clock::now();
  double cost_ = 0;  // seconds of the last record
};

}  // namespace aquatint::quant
