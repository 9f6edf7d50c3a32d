#include "report/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "report/html.h"
#include "report/sqlite.h"
#include "sample_study.h"

namespace aquatint::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    path_ = std::filesystem::path(::testing::TempDir()) / fmt::format("store_{}_{}.sqlite", getpid(), name);
    std::filesystem::remove(path_);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  template <class Error>
  std::string message_of_opening(Store::Mode mode) {
    try {
      Store(path_, mode).load();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  std::filesystem::path path_;
};

void expect_same(double a, double b) {
  EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << a << " " << b;
}
void expect_same(const Measured& a, const Measured& b) {
  expect_same(a.value, b.value);
  expect_same(a.error, b.error);
  EXPECT_EQ(a.known() ? a.n : 0, b.known() ? b.n : 0);
}

void expect_same(const StudyRow& a, const StudyRow& b) {
  EXPECT_EQ(row_name(a), row_name(b));
  EXPECT_EQ(std::tie(a.layout, a.kind, a.position, a.fingerprint, a.group, a.preset_group),
            std::tie(b.layout, b.kind, b.position, b.fingerprint, b.group, b.preset_group));
  for (const auto field :
       {&StudyRow::bits_per_weight, &StudyRow::bits_per_parameter, &StudyRow::file_bytes,
        &StudyRow::weight_bytes, &StudyRow::peak_ram_bytes, &StudyRow::quantize_seconds,
        &StudyRow::evaluate_seconds, &StudyRow::median_kld, &StudyRow::p90_kld, &StudyRow::p95_kld,
        &StudyRow::p99_kld, &StudyRow::p999_kld, &StudyRow::max_kld, &StudyRow::same_top1})
    expect_same(a.*field, b.*field);
  expect_same(a.perplexity, b.perplexity);
  expect_same(a.mean_kld, b.mean_kld);
  EXPECT_EQ(a.window_nll, b.window_nll);
  EXPECT_EQ(a.kld_by_position, b.kld_by_position);
  ASSERT_EQ(a.speed.size(), b.speed.size());
  for (size_t i = 0; i < a.speed.size(); ++i) {
    EXPECT_EQ(a.speed[i].batch, b.speed[i].batch);
    EXPECT_EQ(a.speed[i].prompt_tokens, b.speed[i].prompt_tokens);
    EXPECT_EQ(a.speed[i].generate_tokens, b.speed[i].generate_tokens);
    EXPECT_EQ(a.speed[i].prefill, b.speed[i].prefill);
    EXPECT_EQ(a.speed[i].decode, b.speed[i].decode);
    expect_same(a.speed[i].bandwidth_utilization, b.speed[i].bandwidth_utilization);
    expect_same(a.speed[i].flop_utilization, b.speed[i].flop_utilization);
    expect_same(a.speed[i].prefill_joules, b.speed[i].prefill_joules);
    expect_same(a.speed[i].decode_joules, b.speed[i].decode_joules);
  }
  ASSERT_EQ(a.tasks.size(), b.tasks.size());
  for (size_t i = 0; i < a.tasks.size(); ++i) {
    EXPECT_EQ(a.tasks[i].name, b.tasks[i].name);
    expect_same(a.tasks[i].accuracy, b.tasks[i].accuracy);
    expect_same(a.tasks[i].accuracy_norm, b.tasks[i].accuracy_norm);
    EXPECT_EQ(a.tasks[i].correct, b.tasks[i].correct);
    EXPECT_EQ(a.tasks[i].baseline, b.tasks[i].baseline);
  }
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (size_t i = 0; i < a.layers.size(); ++i) {
    EXPECT_EQ(a.layers[i].name, b.layers[i].name);
    expect_same(a.layers[i].relative_error, b.layers[i].relative_error);
    EXPECT_EQ(a.layers[i].basis, b.layers[i].basis);
  }
  ASSERT_EQ(a.memory.size(), b.memory.size());
  for (size_t i = 0; i < a.memory.size(); ++i) {
    EXPECT_EQ(a.memory[i].name, b.memory[i].name);
    EXPECT_EQ(a.memory[i].bytes, b.memory[i].bytes);
  }
  EXPECT_EQ(a.notes, b.notes);
  EXPECT_EQ(a.provenance.recipe, b.provenance.recipe);
  EXPECT_EQ(a.provenance.seed, b.provenance.seed);
  EXPECT_EQ(a.provenance.command, b.provenance.command);
}

TEST_F(StoreTest, KeepsEveryNumber) {
  Study study = sample_study();
  study.rows[2].notes = {"a note with 'quotes' and ünïcode", "another"};
  study.rows[3].provenance.seed = UINT64_MAX;
  study.rows[4].perplexity.error = kNotMeasured;
  study.rows[4].speed[0].flop_utilization = kNotMeasured;
  study.rows[4].speed[0].decode_joules = kNotMeasured;
  study.facts.notes = {"one", "two"};
  {
    Store store(path_, Store::Mode::write);
    store.save_facts(study.facts);
    // Out of order, as after a resume.
    for (auto row = study.rows.rbegin(); row != study.rows.rend(); ++row) store.save_row(*row);
  }
  const Study loaded = Store(path_, Store::Mode::read).load();
  ASSERT_EQ(loaded.rows.size(), study.rows.size());
  for (size_t i = 0; i < study.rows.size(); ++i) expect_same(study.rows[i], loaded.rows[i]);
  EXPECT_EQ(loaded.facts.source_formats, study.facts.source_formats);
  EXPECT_EQ(loaded.facts.notes, study.facts.notes);
  EXPECT_EQ(loaded.facts.peak_flop_s.size(), 3u);
  EXPECT_EQ(loaded.facts.seed, 42u);
  for (StudyRow& row : study.rows) row.flips.clear();  // made anew from the store of items
  EXPECT_EQ(render_html(loaded), render_html(study));
}

TEST_F(StoreTest, FindsFinishedRowsForResume) {
  Store store(path_, Store::Mode::write);
  StudyRow row = sample_study().rows[3];
  EXPECT_FALSE(store.find_row(row.fingerprint));
  store.save_row(row);
  row.perplexity.value = 99;
  store.save_row(row);  // the same fingerprint: replaced
  ASSERT_TRUE(store.find_row(row.fingerprint));
  EXPECT_EQ(store.find_row(row.fingerprint)->perplexity.value, 99);
  EXPECT_EQ(store.load_rows().size(), 1u);
  EXPECT_FALSE(store.find_row("fingerprint-of-another"));
}

TEST_F(StoreTest, RowAppearsWholeOrNotAtAll) {
  Store(path_, Store::Mode::write).save_facts(sample_study().facts);
  {
    // A name without its layer values would be a torn row: make the last insert fail.
    Database(path_, false)
        .execute("CREATE TRIGGER torn BEFORE INSERT ON layer BEGIN SELECT RAISE(ABORT, 'torn'); END");
  }
  Store store(path_, Store::Mode::write);
  EXPECT_ANY_THROW(store.save_row(sample_study().rows[3]));
  EXPECT_TRUE(store.load_rows().empty());
  Database database(path_, false);
  Statement metrics(database, "SELECT count(*) FROM metric");
  ASSERT_TRUE(metrics.step());
  EXPECT_EQ(metrics.integer(0), 0);
}

TEST_F(StoreTest, TablesKeepTheDocumentedShape) {
  Store(path_, Store::Mode::write).save_row(sample_study().rows[2]);
  Database database(path_, false);
  Statement run(database,
                "SELECT id, model_sha256, scheme, method, recipe, seed, version, cpu, device, kernels, date, "
                "command FROM run");
  ASSERT_TRUE(run.step());
  EXPECT_EQ(run.text(2), "W8A16");
  Statement metric(
      database,
      "SELECT value, stderr, n, unit FROM metric WHERE run_id = ? AND name = 'acc,none' AND task = ?");
  ASSERT_TRUE(metric.bind(run.integer(0), "hellaswag").step());
  EXPECT_EQ(metric.integer(2), 500);
  EXPECT_EQ(metric.text(3), "fraction");
}

TEST_F(StoreTest, RefusesWhatIsNotAStore) {
  EXPECT_THAT(message_of_opening<base::BadInput>(Store::Mode::read), HasSubstr("cannot be opened"));
  std::ofstream(path_) << std::string(5000, 'x');
  EXPECT_THAT(message_of_opening<base::BadInput>(Store::Mode::read), HasSubstr("not an SQLite file"));
  EXPECT_THAT(message_of_opening<base::BadInput>(Store::Mode::write), HasSubstr("not an SQLite file"));
  std::filesystem::remove(path_);
  Database(path_, true).execute("CREATE TABLE theirs(x)");
  EXPECT_THAT(message_of_opening<base::BadInput>(Store::Mode::read), HasSubstr("not a store written by"));
  EXPECT_THAT(message_of_opening<base::BadInput>(Store::Mode::write), HasSubstr("not a store written by"));
  std::filesystem::remove(path_);
  std::ofstream(path_).close();
  EXPECT_THAT(message_of_opening<base::BadInput>(Store::Mode::read), HasSubstr("not a store written by"));
}

TEST_F(StoreTest, RefusesANewerSchema) {
  Store(path_, Store::Mode::write);
  Database(path_, false).execute("PRAGMA user_version = 999");
  EXPECT_THAT(message_of_opening<base::BadInput>(Store::Mode::read), HasSubstr("schema version 999"));
}

TEST_F(StoreTest, ReportsHostileValuesAsBadInput) {
  Store(path_, Store::Mode::write).save_facts(sample_study().facts);
  Database(path_, false).execute("UPDATE fact SET value = '\"many\"' WHERE key = 'parameters'");
  EXPECT_THAT(message_of_opening<base::BadInput>(Store::Mode::read), HasSubstr("unexpected type"));
  Database(path_, false).execute("UPDATE fact SET value = '[[[' WHERE key = 'parameters'");
  EXPECT_THAT(message_of_opening<base::BadInput>(Store::Mode::read), HasSubstr("parameters"));
}

// Every damage must end in an error line or in data, never in a crash.
TEST_F(StoreTest, SurvivesDamage) {
  {
    Store store(path_, Store::Mode::write);
    store.save_facts(sample_study().facts);
    store.save_row(sample_study().rows[2]);
  }
  const std::string whole = base::read_text(path_);
  const auto open_damaged = [&](const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
    try {
      render_html(Store(path_, Store::Mode::read).load());
    } catch (const base::BadInput& error) {
      EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    }
  };
  base::Rng rng(3);
  for (int round = 0; round < 60; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 20; ++i) bytes[rng.below(bytes.size())] = static_cast<char>(rng.next());
    open_damaged(bytes);
    open_damaged(whole.substr(0, rng.below(whole.size())));
  }
}

TEST_F(StoreTest, TwoWritersTakeTurns) {
  Store first(path_, Store::Mode::write), second(path_, Store::Mode::write);
  const Study study = sample_study();
  first.save_row(study.rows[0]);
  second.save_row(study.rows[1]);
  first.save_row(study.rows[2]);
  EXPECT_EQ(second.load_rows().size(), 3u);
}

}  // namespace
}  // namespace aquatint::report
