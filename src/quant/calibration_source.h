// The windows of one calibration file: what calibration.cc asks of each kind of file.
#pragma once
#include <string>
#include <vector>

#include "base/rng.h"
#include "quant/calibration.h"

namespace aquatint::quant {

using Sequences = std::vector<std::vector<int32_t>>;

struct WindowRequest {
  std::filesystem::path file;
  int64_t count = 0;   // windows wanted
  int64_t length = 0;  // tokens of each
  base::Rng rng;
};

// At most `count` windows and what to tell the user. BadInput as in calibration.h.
Sequences text_windows(WindowRequest request, const CalibrationTarget& target,
                       std::vector<std::string>& notes);
Sequences jsonl_windows(WindowRequest request, const CalibrationTarget& target,
                        std::vector<std::string>& notes);

// What both do when a file's `tokens` make only `found` windows: a note if they are enough, else BadInput.
void accept_fewer(const WindowRequest& request, int64_t found, int64_t tokens,
                  std::vector<std::string>& notes);

// The file's text without a byte order mark. BadInput when it is empty or not UTF-8 (with the byte).
std::string_view utf8_text(base::Bytes bytes, const std::filesystem::path& file);

// `count` different numbers below `n` in seeded order; a smaller count gives a prefix.
std::vector<size_t> draw(size_t n, size_t count, base::Rng& rng);

}  // namespace aquatint::quant
