#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "report/html.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

constexpr int64_t kFewWindows = 10;
constexpr int64_t kFewTokens = 100000;

// What is known of a GGUF block format's grid; "" for formats that are no grid of few values.
std::string grid_of(const std::string& format) {
  if (format == "Q4_1" || format == "Q5_1")
    return fmt::format("{} bits in blocks of 32 with real-valued offsets", format[1]);
  if (format == "Q4_0" || format == "Q5_0" || format == "Q8_0")
    return fmt::format("{} bits in blocks of 32, symmetric", format[1]);
  if (format.size() > 3 && format[0] == 'Q' && format.substr(2, 2) == "_K")
    return fmt::format("{} bits in super-blocks of 256", format[1]);
  return "";
}

void note_source(const Study& study, std::vector<std::string>& notes) {
  const StudyFacts& f = study.facts;
  if (f.source_formats.empty()) return;
  const std::string& format = f.source_formats.front();
  const std::string grid = grid_of(format);
  if (grid.empty()) return;
  std::string note = fmt::format(
      "The source is quantized already: most of its weights lie on a {} grid ({}). ", format, grid);
  if (format == "Q4_1")
    note +=
        "Q4_1 itself, and any format with real-valued offsets in groups of 32, would look lossless on it, "
        "and the "
        "4-bit figures here compare only with each other. ";
  else
    note += fmt::format("Formats that contain this grid look better here than on the original weights. ");
  notes.push_back(
      note +
      "FP32 means these weights dequantized exactly; what the source's own quantization cost is not "
      "measured here.");
}

void note_groups(const Study& study, std::vector<std::string>& notes) {
  for (const StudyRow& row : study.rows) {
    if (row.group == row.preset_group || row.group == 0) continue;
    const int64_t width = study.facts.hidden_size;
    const std::string reason =
        width > 0 && width % row.preset_group != 0
            ? fmt::format("the hidden size, {}, is not divisible by {}", width, row.preset_group)
            : fmt::format("not every width is divisible by {}", row.preset_group);
    notes.push_back(fmt::format("{} uses groups of {} instead of {}: {}.", row_name(row), row.group,
                                row.preset_group, reason));
  }
}

void note_embedding(const Study& study, std::vector<std::string>& notes) {
  const StudyFacts& f = study.facts;
  const StudyRow* smallest = nullptr;
  for (const StudyRow& row : study.rows)
    if (row.kind == RowKind::candidate && std::isfinite(row.file_bytes) &&
        (!smallest || row.file_bytes < smallest->file_bytes))
      smallest = &row;
  if (!smallest || !std::isfinite(f.embedding_bytes) || f.embedding_bytes < 0.1 * smallest->file_bytes)
    return;
  notes.push_back(fmt::format(
      "The {} in 16 bits and take{} {} of the {} of {}, {:.0f} %: small models shrink less than their bits "
      "per weight "
      "suggest.",
      f.tied_embeddings ? "embedding, which is also the head, stays" : "embedding and the head stay",
      f.tied_embeddings ? "s" : "", format_bytes(f.embedding_bytes), format_bytes(smallest->file_bytes),
      row_name(*smallest), 100 * f.embedding_bytes / smallest->file_bytes));
}

void note_text(const Study& study, std::vector<std::string>& notes) {
  const StudyFacts& f = study.facts;
  if (f.text_tokens <= 0) return;
  if (f.text_tokens < kFewTokens)
    notes.push_back(fmt::format(
        "Quality rests on {} scored tokens of one text. The ± beside a perplexity is the text's own spread "
        "and says "
        "little about differences between rows; those are paired window by window and known far better.",
        f.text_tokens));
  if (f.windows > 0 && f.windows < kFewWindows)
    notes.push_back(fmt::format("With {} windows the standard errors themselves are rough.", f.windows));
}

void note_bandwidth(const Study& study, std::vector<std::string>& notes) {
  const StudyFacts& f = study.facts;
  if (std::isfinite(f.read_gb_s) && std::isfinite(f.bandwidth_buffer_bytes))
    notes.push_back(
        fmt::format("The read bandwidth that decode is held against, {} GB/s, was measured over a buffer of "
                    "{}: where weights fit in "
                    "the last-level cache they are read faster than memory can deliver.",
                    format_significant(f.read_gb_s, 3), format_bytes(f.bandwidth_buffer_bytes)));
}

// Rows that do not come from the same place do not compare in speed, or in anything.
void note_mixture(const Study& study, std::vector<std::string>& notes) {
  const auto differ = [&](auto field) {
    std::set<std::string> values;
    for (const StudyRow& row : study.rows) values.insert(row.provenance.*field);
    return values.size() > 1;
  };
  if (differ(&Provenance::model_sha256))
    notes.push_back("The rows come from different model files: their figures do not compare.");
  if (differ(&Provenance::cpu) || differ(&Provenance::device))
    notes.push_back("The rows were measured on different machines: their speeds do not compare.");
  if (differ(&Provenance::kernels))
    notes.push_back(
        "The rows were measured with different kernels: their speeds, and the last digits of their quality, "
        "do not compare.");
  if (differ(&Provenance::version))
    notes.push_back("The rows were measured with different versions of Aquatint.");
}

}  // namespace

std::vector<std::string> honest_notes(const Study& study) {
  std::vector<std::string> notes;
  note_mixture(study, notes);
  note_source(study, notes);
  note_groups(study, notes);
  note_embedding(study, notes);
  note_text(study, notes);
  note_bandwidth(study, notes);
  notes.insert(notes.end(), study.facts.notes.begin(), study.facts.notes.end());
  for (const StudyRow& row : study.rows)
    for (const std::string& note : row.notes) notes.push_back(row_name(row) + ": " + note);
  return notes;
}

}  // namespace aquatint::report
