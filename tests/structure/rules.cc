#include "structure/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace aquatint::structure {
namespace {

// Lowest first. Rooms of one level do not include each other.
constexpr std::pair<std::string_view, int> kLevels[] = {
    {"base", 0},   {"numeric", 1}, {"text", 1},  {"tensor", 2}, {"checkpoint", 3}, {"kernels", 3},
    {"model", 4},  {"runtime", 5}, {"eval", 6},  {"quant", 7},  {"train", 7},      {"bench", 8},
    {"report", 8}, {"plan", 9},    {"serve", 9}, {"api", 10},   {"cli", 11},
};

// Which rooms may see a library; fmt, nlohmann_json and the standard library are everywhere.
struct Library {
  std::string_view include;  // how its headers begin
  std::array<std::string_view, 2> rooms;
};
constexpr Library kLibraries[] = {
    {"CLI/", {"cli"}},      {"sqlite3", {"report"}},       {"yaml.h", {"eval"}},
    {"Eigen/", {"quant"}},  {"openssl/", {"base"}},        {"pcre2", {"checkpoint", "text"}},
    {"utf8proc", {"text"}}, {"cuda_runtime", {"kernels"}}, {"cublasLt", {"kernels"}},
};

constexpr size_t kFileLines = 400, kKernelFileLines = 600, kFunctionLines = 60;

int level_of(std::string_view room) {
  for (const auto& [name, level] : kLevels)
    if (name == room) return level;
  return -1;
}

// What an #include names, in quotes or angle brackets; empty for any other line.
std::string_view included(std::string_view line) {
  if (!line.starts_with("#include ")) return {};
  const size_t open = line.find_first_of("\"<");
  const size_t close = open == line.npos ? line.npos : line.find_first_of("\">", open + 1);
  return close == line.npos ? std::string_view{} : line.substr(open + 1, close - open - 1);
}

std::string at(const Source& source, size_t line, std::string_view what) {
  return fmt::format("{}:{}: {}", source.path, line + 1, what);
}

bool is_header(const Source& source) { return source.path.ends_with(".h"); }

// With .clang-format's style a function of namespace scope opens with "{" at the end of an unindented line
// (or of its last continuation) and closes with "}" in the first column; types, namespaces and tables are
// told by their words.
bool opens_body(std::string_view line) {
  if (!line.ends_with("{")) return false;
  for (std::string_view word :
       {"namespace", "struct", "class", "enum", "union", "extern", "constexpr", "const "})
    if (line.starts_with(word) && line.find('(') == line.npos) return false;
  return true;
}

}  // namespace

std::string room_of(std::string_view path) {
  constexpr std::string_view kRoot = "src/";
  if (!path.starts_with(kRoot)) return {};
  const size_t end = path.find('/', kRoot.size());
  return end == path.npos ? std::string{} : std::string(path.substr(kRoot.size(), end - kRoot.size()));
}

bool is_room(std::string_view name) { return level_of(name) >= 0; }

Breaches upward_includes(const Source& source) {
  Breaches breaches;
  const std::string from = room_of(source.path);
  for (size_t i = 0; i < source.lines.size(); ++i) {
    const std::string_view target = included(source.lines[i]);
    const std::string_view to = target.substr(0, std::min(target.find('/'), target.size()));
    if (to == target || to == from || !is_room(to)) continue;
    if (level_of(to) >= level_of(from))
      breaches.push_back(
          at(source, i, fmt::format("{} must not include {} (see docs/ARCHITECTURE.md)", from, target)));
  }
  return breaches;
}

Breaches foreign_libraries(const Source& source) {
  Breaches breaches;
  const std::string room = room_of(source.path);
  for (size_t i = 0; i < source.lines.size(); ++i)
    for (const Library& library : kLibraries)
      if (included(source.lines[i]).starts_with(library.include) &&
          std::find(library.rooms.begin(), library.rooms.end(), room) == library.rooms.end())
        breaches.push_back(at(source, i, fmt::format("{} belongs to {}", library.include, library.rooms[0])));
  return breaches;
}

Breaches long_file(const Source& source) {
  const size_t limit = source.path.find("kernels/") == source.path.npos ? kFileLines : kKernelFileLines;
  if (source.lines.size() <= limit) return {};
  return {fmt::format("{}: {} lines, at most {}", source.path, source.lines.size(), limit)};
}

Breaches long_functions(const Source& source) {
  Breaches breaches;
  size_t start = 0;  // first line of the declaration being read
  bool inside = false;
  for (size_t i = 0; i < source.lines.size(); ++i) {
    const std::string& line = source.lines[i];
    if (inside) {
      if (!line.starts_with("}")) continue;
      inside = false;
      if (i - start + 1 > kFunctionLines)
        breaches.push_back(at(
            source, start, fmt::format("a function of {} lines, at most {}", i - start + 1, kFunctionLines)));
      continue;
    }
    if (!line.empty() && line[0] != ' ' && line[0] != '}') start = i;
    inside = opens_body(line) && opens_body(source.lines[start] + " {");
  }
  return breaches;
}

Breaches header_habits(const Source& source) {
  if (!is_header(source)) return {};
  Breaches breaches;
  bool guarded = false;
  for (size_t i = 0; i < source.lines.size(); ++i) {
    if (source.lines[i] == "#pragma once") guarded = true;
    if (source.lines[i].starts_with("using namespace"))
      breaches.push_back(at(source, i, "using namespace in a header"));
  }
  if (!guarded) breaches.push_back(source.path + ": no #pragma once");
  return breaches;
}

Breaches wrong_namespace(const Source& source) {
  // Bodies included into a namespace open none themselves.
  if (source.path.ends_with("/main.cc") || source.path.ends_with(".inl")) return {};
  const std::string expected = "namespace aquatint::" + room_of(source.path);
  bool any = false;
  for (const std::string& line : source.lines) {
    if (line.starts_with(expected)) return {};
    any = any || line.starts_with("namespace ");
  }
  if (is_header(source) && !any) return {};  // a list of includes
  return {fmt::format("{}: {} expected{}", source.path, expected, any ? ", another found" : "")};
}

Breaches unfinished_work(const Source& source) {
  Breaches breaches;
  for (size_t i = 0; i < source.lines.size(); ++i)
    for (std::string_view word : {"TODO", "FIXME"})
      if (source.lines[i].find(word) != std::string::npos)
        breaches.push_back(at(source, i, fmt::format("{}: finish it or open an issue", word)));
  return breaches;
}

int preprocessor_conditions(const Source& source) {
  int count = 0;
  for (const std::string& line : source.lines)
    if (line.starts_with("#if") || line.starts_with("#elif")) ++count;
  return count;
}

}  // namespace aquatint::structure
