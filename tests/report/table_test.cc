#include "report/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sample_study.h"

namespace aquatint::report {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Table, AlignsByDisplayWidth) {
  Table table({{"name", Align::left}, {"value"}});
  table.add({"é±", "1"});
  table.add({"模型", "22"});
  table.add({"e\xcc\x81x", "333"});  // e, combining acute, x
  EXPECT_EQ(table.text(),
            "name  value\n"
            "────  ─────\n"
            "é±        1\n"
            "模型     22\n"
            "e\xcc\x81x      333\n");
}

TEST(Table, ShowsNothingThatDrivesTheTerminal) {
  Table table({{"name", Align::left}});
  table.add({"\x1b[31mred\x07\xff\xc2\x9b"});
  EXPECT_THAT(table.text(), AllOf(HasSubstr("?[31mred???"), Not(HasSubstr("\x1b"))));
  table.emphasize_last();
  EXPECT_THAT(table.text(false), Not(HasSubstr("\x1b")));
  EXPECT_THAT(table.text(true), HasSubstr("\x1b[1m"));
}

TEST(Table, CsvQuotes) {
  Table table({{"a"}, {"b"}});
  table.add({"plain", "with \"quotes\", comma\nand line"});
  table.add_rule();
  table.add({"short"});
  EXPECT_EQ(table.csv(), "a,b\r\nplain,\"with \"\"quotes\"\", comma\nand line\"\r\nshort,\r\n");
}

TEST(Numbers, AsPeopleReadThem) {
  EXPECT_EQ(format_bytes(96'600'000), "96.6 MB");
  EXPECT_EQ(format_bytes(999'600), "1.00 MB");
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_count(134'515'008), "135 M");
  EXPECT_EQ(format_seconds(126), "2.1 min");
  EXPECT_EQ(format_seconds(0.0123), "12.3 ms");
  EXPECT_EQ(format_significant(0.0048, 2), "0.0048");
  EXPECT_EQ(format_significant(9.996, 3), "10.0");
  EXPECT_EQ(format_significant(19.171, 5), "19.171");
  EXPECT_EQ(format_significant(123456, 3), "123000");
  EXPECT_EQ(format_significant(2.1e-5, 2), "2.1e-5");
  EXPECT_EQ(format_significant(-0.5, 2), "-0.50");
  EXPECT_EQ(format_bytes(kNotMeasured), "n/a");
}

TEST(StudyTable, ShowsEachRowAndDropsEmptyColumns) {
  Study study = sample_study();
  const std::string text = study_table(study).text();
  for (const StudyRow& row : study.rows) EXPECT_THAT(text, HasSubstr(row.scheme));
  EXPECT_THAT(
      text, AllOf(HasSubstr("recommended"), HasSubstr("dominated"), HasSubstr("×8"), HasSubstr("hellaswag")));
  for (StudyRow& row : study.rows) row.tasks.clear();
  EXPECT_THAT(study_table(study).text(), Not(HasSubstr("hellaswag")));
  EXPECT_THAT(study_table({}).text(), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace aquatint::report
