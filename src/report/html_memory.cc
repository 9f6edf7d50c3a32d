// What the memory of each scheme goes to.
#include <algorithm>

#include "base/error.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

// Names of parts in the order they first come; the cache last.
std::vector<std::string> part_names(const Study& study) {
  std::vector<std::string> names;
  for (const StudyRow& row : study.rows)
    for (const MemoryPart& part : row.memory)
      if (std::find(names.begin(), names.end(), part.name) == names.end()) names.push_back(part.name);
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name.starts_with("weights"); });
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name != kCachePart; });
  return names;
}

double bytes_of(const StudyRow& row, const std::string& name) {
  const auto part =
      std::find_if(row.memory.begin(), row.memory.end(), [&](const auto& p) { return p.name == name; });
  return part == row.memory.end() ? 0 : part->bytes;
}

// What a run holds beside the packed weights: work space, caches, the program.
double working_bytes(const StudyRow& row) { return row.peak_ram_bytes - row.weight_bytes; }

std::string cell(double bytes) {
  return bytes > 0 ? fmt::format("<td class=\"num\">{}</td>", format_bytes(bytes)) : kBlankCell;
}

}  // namespace

std::string memory_section(const Study& study) {
  const std::vector<std::string> names = part_names(study);
  if (names.empty()) return "";
  std::string out = open_table(
      "Parts as they lie in the files of the model, and keys and values of 1024 tokens of one sequence. Work "
      "space: peak RAM of the bench beyond the packed weights, with its caches.");
  out += "<thead><tr>" + column("Scheme", false);
  for (const std::string& name : names) out += column(escape_html(name));
  out += column("Work space") + "</tr></thead>\n<tbody>\n";
  std::vector<svg::Stack> stacks;
  for (const StudyRow& row : study.rows) {
    if (row.memory.empty()) continue;
    svg::Stack& stack = stacks.emplace_back(svg::Stack{escape_html(row_name(row)), {}, ""});
    double sum = 0;
    out += fmt::format("<tr><th scope=\"row\"><b>{}</b></th>", escape_html(row_name(row)));
    for (const std::string& name : names) {
      const double bytes = bytes_of(row, name);
      out += cell(bytes);
      stack.parts.push_back(bytes);
      sum += bytes;
    }
    out += cell(working_bytes(row)) + "</tr>\n";
    stack.label = format_bytes(sum);
  }
  std::vector<std::string> escaped;
  for (const std::string& name : names) escaped.push_back(escape_html(name));
  return out + kCloseTable +
         svg::stacks(stacks, escaped, "Bytes of a loaded model by part, with the cache of 1024 tokens.");
}

}  // namespace aquatint::report
