// Reads the sources and fails where they leave the house that docs/ARCHITECTURE.md describes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "structure/rules.h"

namespace aquatint::structure {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const fs::path kRoot = AQUATINT_ROOT;

Source source(std::string path, const std::string& text) {
  Source s{std::move(path), {}};
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) s.lines.push_back(line);
  return s;
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<Source> sources_under(const std::string& folder) {
  std::vector<Source> all;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(kRoot / folder)) {
    const std::string extension = entry.path().extension();
    static const std::set<std::string> kCode = {".cc", ".h", ".inl", ".cu", ".cuh"};
    if (kCode.contains(extension))
      all.push_back(source(fs::relative(entry.path(), kRoot).generic_string(), text_of(entry.path())));
  }
  return all;
}

const std::vector<Source>& product() {
  static const std::vector<Source> all = sources_under("src");
  return all;
}

template <class Rule>
Breaches over(const std::vector<Source>& sources, Rule rule) {
  Breaches all;
  for (const Source& s : sources)
    for (std::string& breach : rule(s)) all.push_back(std::move(breach));
  return all;
}

TEST(House, SourcesAreFound) { EXPECT_GT(product().size(), 50u); }
TEST(House, ArrowsPointDown) { EXPECT_THAT(over(product(), upward_includes), IsEmpty()); }
TEST(House, LibrariesStayInTheirRooms) { EXPECT_THAT(over(product(), foreign_libraries), IsEmpty()); }
TEST(House, FunctionsAreShort) { EXPECT_THAT(over(product(), long_functions), IsEmpty()); }
TEST(House, NamespacesFollowRooms) { EXPECT_THAT(over(product(), wrong_namespace), IsEmpty()); }
TEST(House, NothingIsUnfinished) { EXPECT_THAT(over(product(), unfinished_work), IsEmpty()); }

TEST(House, FilesAreShortAndHeadersClean) {
  for (const char* folder : {"src", "tests", "benchmarks"}) {
    const std::vector<Source> sources = sources_under(folder);
    EXPECT_THAT(over(sources, long_file), IsEmpty());
    EXPECT_THAT(over(sources, header_habits), IsEmpty());
  }
}

TEST(House, EveryRoomHasALevelAndALineOnTheMap) {
  const std::string map = text_of(kRoot / "docs/ARCHITECTURE.md");
  for (const fs::directory_entry& entry : fs::directory_iterator(kRoot / "src")) {
    if (!entry.is_directory()) continue;
    const std::string room = entry.path().filename();
    EXPECT_TRUE(is_room(room)) << "src/" << room << " has no level in tests/structure/rules.cc";
    EXPECT_NE(map.find("| `" + room + "/` |"), map.npos)
        << "docs/ARCHITECTURE.md has no row for src/" << room;
  }
}

// A missing backend is another source file, not a branch: one condition per 1000 lines outside kernels/ is
// allowed.
TEST(House, FewPreprocessorConditions) {
  int conditions = 0;
  size_t lines = 0;
  for (const Source& s : product()) {
    if (room_of(s.path) == "kernels") continue;
    conditions += preprocessor_conditions(s);
    lines += s.lines.size();
  }
  EXPECT_LE(conditions, 1 + static_cast<int>(lines / 1000));
}

TEST(Rules, SeeAnArrowUpOrSideways) {
  const std::string up = "#include \"quant/pipeline.h\"\n",
                    sideways = "#include \"checkpoint/checkpoint.h\"\n";
  EXPECT_THAT(upward_includes(source("src/kernels/a.cc", up + sideways)), SizeIs(2));
  EXPECT_THAT(upward_includes(source("src/cli/a.cc", up + sideways)), IsEmpty());
  EXPECT_THAT(upward_includes(source("src/quant/a.cc", up)), IsEmpty());
}

TEST(Rules, SeeAForeignLibrary) {
  EXPECT_THAT(foreign_libraries(source("src/model/a.h", "#include <sqlite3.h>\n")), SizeIs(1));
  EXPECT_THAT(foreign_libraries(source("src/report/a.h", "#include <sqlite3.h>\n")), IsEmpty());
}

std::string function(int body_lines) {
  std::string text = "namespace a {\nint f(int x,\n      int y) {\n";
  for (int i = 0; i < body_lines; ++i) text += "  x += y;\n";
  return text + "}\n}\n";
}

TEST(Rules, SeeALongFunctionAndALongFile) {
  EXPECT_THAT(long_functions(source("src/base/a.cc", function(57))), IsEmpty());
  EXPECT_THAT(long_functions(source("src/base/a.cc", function(58))), SizeIs(1));
  EXPECT_THAT(long_file(source("src/base/a.cc", std::string(400, '\n'))), IsEmpty());
  EXPECT_THAT(long_file(source("src/base/a.cc", std::string(401, '\n'))), SizeIs(1));
  EXPECT_THAT(long_file(source("src/kernels/a.cc", std::string(401, '\n'))), IsEmpty());
}

TEST(Rules, SeeHeaderHabits) {
  EXPECT_THAT(header_habits(source("src/base/a.h", "#pragma once\n")), IsEmpty());
  EXPECT_THAT(header_habits(source("src/base/a.h", "using namespace std;\n")), SizeIs(2));
}

TEST(Rules, SeeNamespacesConditionsAndUnfinishedWork) {
  EXPECT_THAT(wrong_namespace(source("src/base/a.cc", "namespace aquatint::numeric {\n")), SizeIs(1));
  EXPECT_THAT(wrong_namespace(source("src/base/a.cc", "namespace aquatint::base {\n")), IsEmpty());
  EXPECT_EQ(preprocessor_conditions(source("src/base/a.cc", "#ifdef A\n#elif B\n#endif\n")), 2);
  EXPECT_THAT(unfinished_work(source("src/base/a.cc", std::string("// TO") + "DO later\n")), SizeIs(1));
}

}  // namespace
}  // namespace aquatint::structure
