// The tokens that calibrated methods look at: windows of text files and of JSONL documents, mixed by ratio.
// The same options and files give the same tokens on every machine.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "runtime/chat.h"
#include "text/tokenizer.h"

namespace aquatint::quant {

struct CalibrationSource {
  std::filesystem::path file;  // plain UTF-8 text, or .jsonl of {"messages": …}, {"text": …}, {"prompt": …}
  double ratio = 1;            // share of the windows, relative to the other sources
};

struct CalibrationOptions {
  std::vector<CalibrationSource> sources;
  int64_t samples = 128, length = 2048;  // the length is lowered to the model's context
  uint64_t seed = 0;
};

struct CalibrationSet {
  std::vector<std::vector<int32_t>> sequences;
  std::string description;         // for people: files, windows of each, length, seed
  std::string fingerprint;         // SHA-256 over the token ids
  std::vector<std::string> notes;  // what was done otherwise than asked

  int64_t tokens() const;
};

// How text becomes one model's tokens.
struct CalibrationTarget {
  const text::Tokenizer* tokenizer = nullptr;
  const runtime::Chat* chat = nullptr;  // null: the model has no chat template
  int32_t end = -1;        // put between documents of one window; -1: none, windows are not shared
  int64_t context = 0;     // the model's positions
  int64_t vocab_size = 0;  // rows of its embedding
};

// Every sequence has `length` tokens and starts with a BOS where the tokenizer adds one. Text: windows that
// do not overlap, chosen by seed; a smaller `samples` takes the first of a larger one's. JSONL: documents in
// seeded order, packed one after the other with an end token between and cut into windows; without an end
// token each document has windows of its own, the last one shorter. Counts follow the ratios exactly (largest
// remainder). A file that holds fewer windows than its share gives what it has, with a note, if that is 16 or
// more. BadInput: a file that is empty, too short, not UTF-8, or with a line that is no such document.
// BadUsage: no source, ratios or numbers out of range.
CalibrationSet read_calibration(const CalibrationOptions& options, const CalibrationTarget& target);
// The same with the checkpoint's own tokenizer, chat template and end token.
CalibrationSet read_calibration(const CalibrationOptions& options, const checkpoint::Checkpoint& model);

// Over the ids and where sequences begin.
std::string fingerprint_of(const std::vector<std::vector<int32_t>>& sequences);

}  // namespace aquatint::quant
