#include <cmath>

#include "base/error.h"
#include "report/html_parts.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

class Definitions {
 public:
  void add(const char* term, const std::string& text) {
    if (!text.empty()) html_ += fmt::format("<dt>{}</dt><dd>{}</dd>\n", term, escape_html(text));
  }
  void add_code(const char* term, const std::string& text) {
    if (!text.empty()) html_ += fmt::format("<dt>{}</dt><dd><code>{}</code></dd>\n", term, escape_html(text));
  }
  std::string html() const { return "<dl>\n" + html_ + "</dl>\n"; }

 private:
  std::string html_;
};

std::string model_words(const StudyFacts& f) {
  std::string out = f.model;
  if (!f.architecture.empty()) out += ", " + f.architecture;
  if (f.parameters > 0) out += fmt::format(", {} parameters", f.parameters);
  return out;
}

std::string source_words(const StudyFacts& f) {
  std::string out = f.source_layout;
  for (size_t i = 0; i < f.source_formats.size(); ++i) out += (i ? ", " : ": ") + f.source_formats[i];
  return out;
}

std::string text_words(const StudyFacts& f) {
  if (f.text.empty()) return "";
  return fmt::format("{}: {} tokens scored in {} windows of {} (stride {}, scored from position {})", f.text,
                     f.text_tokens, f.windows, f.context, f.stride, f.score_from);
}

std::string machine_words(const StudyFacts& f) {
  std::string out = f.cpu;
  if (f.threads > 0) out += fmt::format(", {} thread{}", f.threads, f.threads == 1 ? "" : "s");
  if (std::isfinite(f.ram_bytes)) out += ", " + format_bytes(f.ram_bytes) + " RAM";
  if (!f.os.empty()) out += ", " + f.os;
  return out;
}

std::string peak_words(const StudyFacts& f) {
  std::string out;
  if (std::isfinite(f.read_gb_s)) out = fmt::format("reads {} GB/s", format_significant(f.read_gb_s, 3));
  for (const auto& peak : f.peak_flop_s) {
    const bool tera = peak.flop_s >= 1e12;
    out += fmt::format("{}{} {} {}FLOP/s", out.empty() ? "" : ", ", peak.type,
                       format_significant(peak.flop_s / (tera ? 1e12 : 1e9), 3), tera ? "T" : "G");
  }
  return out;
}

std::string row_details(const StudyRow& row) {
  Definitions list;
  const Provenance& p = row.provenance;
  list.add_code("Command", p.command);
  list.add_code("Recipe", p.recipe);
  list.add("Date", p.date);
  list.add("Seed", std::to_string(p.seed));
  list.add("Version", p.version);
  list.add("Machine", p.cpu);
  list.add("Kernels", p.kernels + (p.device.empty() ? "" : " on " + p.device));
  list.add_code("Model SHA-256", p.model_sha256);
  list.add_code("Fingerprint", row.fingerprint);
  if (std::isfinite(row.quantize_seconds)) list.add("Quantized in", format_seconds(row.quantize_seconds));
  if (std::isfinite(row.evaluate_seconds)) list.add("Evaluated in", format_seconds(row.evaluate_seconds));
  return fmt::format("<details><summary>{}</summary>{}</details>\n", escape_html(row_name(row)), list.html());
}

}  // namespace

std::string provenance_section(const Study& study) {
  const StudyFacts& f = study.facts;
  Definitions list;
  list.add_code("Command", f.command);
  list.add("Model", model_words(f));
  list.add("Source", source_words(f));
  list.add_code("Model SHA-256", f.model_sha256);
  list.add("Text", text_words(f));
  list.add_code("Text SHA-256", f.text_sha256);
  list.add("Tasks", f.tasks);
  list.add("Machine", machine_words(f));
  list.add("Kernels", f.kernels + (f.device.empty() || f.kernels.empty() ? "" : " on " + f.device));
  list.add("Measured peaks", peak_words(f));
  list.add("Seed", std::to_string(f.seed));
  list.add("Quality limit", fmt::format("perplexity may grow by {} %",
                                        format_significant(f.max_perplexity_increase * 100, 3)));
  list.add("Version", f.version);
  list.add("Date", f.date);
  std::string out = list.html();
  for (const StudyRow& row : study.rows) out += row_details(row);
  return out;
}

}  // namespace aquatint::report
