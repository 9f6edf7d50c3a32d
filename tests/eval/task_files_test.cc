#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "eval/task_requests.h"
#include "eval/tasks.h"
#include "letter_tokenizer.h"

namespace aquatint::eval {
namespace {

class TaskFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              fmt::format("aquatint-tasks-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  std::string error_of(const std::string& items) {
    try {
      load_task("", write("bad.jsonl", items));
    } catch (const base::BadInput& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  std::filesystem::path folder_;
};

const std::string kChoices =
    "{\"query\": \"Q1\", \"choices\": [\"x\", \"y\", \"z\", \"w\"], \"gold\": 2}\n"
    "\n"
    "{\"query\": \"Q2\", \"choices\": [\"p\", \"q\"], \"gold\": 0, \"more\": 1}\n";

TEST_F(TaskFiles, MultipleChoice) {
  const Task task = load_task("", write("my_task.jsonl", kChoices));
  EXPECT_EQ(task.name, "my_task");
  EXPECT_EQ(task.kind, TaskKind::multiple_choice);
  ASSERT_EQ(task.items.size(), 2u);
  EXPECT_EQ(task.items[1].line, 3);
  EXPECT_EQ(task.items[0].gold, 2);
  EXPECT_THAT(task.items[1].continuations, testing::ElementsAre("p", "q"));
  EXPECT_EQ(task.settings.shots, 0);
  EXPECT_EQ(task.settings.delimiter, " ");
  EXPECT_DOUBLE_EQ(task.baseline, 0.375);  // mean of 1/4 and 1/2
}

TEST_F(TaskFiles, SchemaAndLanguageModelling) {
  const Task schema =
      load_task("", write("s.jsonl", R"({"context_options": ["a", "b"], "continuation": "c", "gold": 1})"));
  EXPECT_EQ(schema.kind, TaskKind::schema);
  EXPECT_DOUBLE_EQ(schema.baseline, 0.5);
  const Task plain =
      load_task("", write("l.jsonl", R"({"context": "a", "continuation": "c", "category": "x"})"));
  EXPECT_EQ(plain.kind, TaskKind::language_modelling);
  EXPECT_DOUBLE_EQ(plain.baseline, 0);
}

TEST_F(TaskFiles, SettingsComeFromTheTableOrTheFileBeside) {
  const auto file = write("t.jsonl", kChoices + kChoices);
  const Task named = load_task("arc_easy", file);
  EXPECT_EQ(named.name, "arc_easy");
  EXPECT_EQ(named.settings.shots, 3);
  EXPECT_EQ(named.settings.delimiter, "\nAnswer: ");
  EXPECT_DOUBLE_EQ(named.baseline, 0.25);
  EXPECT_EQ(load_task("arc_easy", file, 0).settings.shots, 0);
  EXPECT_THROW(load_task("unheard_of", file), base::BadUsage);

  write("t.yaml", "shots: 1\ndelimiter: \"\\n-> \"\nbaseline: 0.125\n");
  const Task beside = load_task("unheard_of", file);
  EXPECT_EQ(beside.settings.shots, 1);
  EXPECT_EQ(beside.settings.delimiter, "\n-> ");
  EXPECT_DOUBLE_EQ(beside.baseline, 0.125);
  write("t.yaml", "shot: 1\n");
  EXPECT_THROW(load_task("", file), base::BadInput);
  write("t.yaml", "shots: many\n");
  EXPECT_THROW(load_task("", file), base::BadInput);
}

TEST_F(TaskFiles, Lists) {
  const auto a = write("a.jsonl", kChoices), b = write("b.jsonl", kChoices);
  const auto tasks = load_tasks(fmt::format("{},copa={}", a.string(), b.string()));
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_EQ(tasks[0].name, "a");
  EXPECT_EQ(tasks[1].name, "copa");
  EXPECT_THROW(load_tasks(fmt::format("{0},{0}", a.string())), base::BadUsage);
  EXPECT_THROW(load_tasks(""), base::BadUsage);
  EXPECT_THROW(load_tasks("copa="), base::BadUsage);
}

TEST_F(TaskFiles, MalformedItemsNameFileAndLine) {
  const std::string good = "{\"query\": \"Q\", \"choices\": [\"x\", \"y\"], \"gold\": 0}\n";
  for (const std::string bad :
       {R"({"query": "Q", "choices": ["x", "y"], "gold": 2})",
        R"({"query": "Q", "choices": ["x", "y"], "gold": -1})",
        R"({"query": "Q", "choices": ["x", "y"], "gold": "0"})", R"({"query": "Q", "choices": ["x", "y"]})",
        R"({"query": "Q", "choices": ["x"], "gold": 0})", R"({"query": "Q", "choices": ["x", 3], "gold": 0})",
        R"({"query": "Q", "choices": ["x", ""], "gold": 0})",
        R"({"query": 1, "choices": ["x", "y"], "gold": 0})", R"({"choices": ["x", "y"], "gold": 0})",
        R"({"query": "Q", "choices")", R"([1, 2])", R"(17)", R"({"context": "Q", "answer": "x"})",
        R"({"context": "Q", "continuation": "x"})", R"({})"}) {
    EXPECT_THAT(error_of(good + bad + "\n"), testing::HasSubstr("bad.jsonl, line 2")) << bad;
  }
  EXPECT_THAT(error_of(""), testing::HasSubstr("no items"));
  EXPECT_THAT(error_of("\n\n"), testing::HasSubstr("no items"));
}

TEST_F(TaskFiles, MoreExamplesThanItems) {
  EXPECT_THROW(load_task("", write("few.jsonl", kChoices), 2), base::BadInput);
  EXPECT_NO_THROW(load_task("", write("few.jsonl", kChoices), 1));
}

TEST(TaskText, TrailingSpacesMoveToTheContinuation) {
  const auto check = [](const char* context, const char* delimiter, const char* continuation,
                        const char* want_context, const char* want_continuation) {
    const ContextAndContinuation joined = join(context, delimiter, continuation);
    EXPECT_EQ(joined.context, want_context);
    EXPECT_EQ(joined.continuation, want_continuation);
  };
  check("Q", " ", "x", "Q", " x");
  check("Q", "\nAnswer: ", "x", "Q\nAnswer:", " x");
  check("Answer: ", " ", "x", "Answer:", "  x");
  check("1 + 1 =", " ", " 2", "1 + 1 =", " 2");  // no second space
  check("Q", "\nAnswer: ", " x", "Q\nAnswer:", " x");
  check("", " ", "x", "", " x");
}

Task small_task(int shots) {
  Task task;
  task.file = "t.jsonl";
  task.settings.shots = shots;
  for (const char* letter : {"p", "q", "r", "s"})
    task.items.push_back({{std::string("Q") + letter}, {std::string("good") + letter, "bad"}, 0, 1});
  return task;
}

TEST(TaskText, ExamplesLeaveTheItemOut) {
  const Task task = small_task(3);
  for (size_t index = 0; index < 4; ++index) {
    const std::string text = example_text(task, index, 7);
    for (size_t other = 0; other < 4; ++other) {
      const std::string example =
          task.items[other].contexts[0] + " " + task.items[other].continuations[0] + "\n";
      EXPECT_EQ(text.find(example) != std::string::npos, other != index);
    }
    EXPECT_EQ(text, example_text(task, index, 7));
  }
}

TEST(TaskText, TokensSplitAtTheContextsLength) {
  Task task = small_task(0);
  task.settings.delimiter = "";
  task.items[0] = {{"xa"}, {"bc", "d"}, 0, 1};
  // "xabc" is x, ab, c: one token more than the two of "xa", so only c is left to score.
  const auto requests = item_requests(task, 0, 1, LetterTokenizer(), 0);
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_THAT(requests[0].context, testing::ElementsAre('x', 'a'));
  EXPECT_THAT(requests[0].continuations[0], testing::ElementsAre('c'));
  EXPECT_THAT(requests[0].continuations[1], testing::ElementsAre('d'));
  task.items[0] = {{"xa"}, {"b", "d"}, 0, 1};
  EXPECT_THROW(item_requests(task, 0, 1, LetterTokenizer(), 0), base::BadInput);
}

TEST(TaskText, BosComesFirstAndStandsForAnEmptyContext) {
  Task task = small_task(0);
  task.items[0] = {{""}, {"c", "d"}, 0, 1};
  EXPECT_THAT(item_requests(task, 0, 1, LetterTokenizer(257), 5)[0].context, testing::ElementsAre(257));
  EXPECT_THAT(item_requests(task, 0, 1, LetterTokenizer(), 5)[0].context, testing::ElementsAre(5));
}

TEST(TaskText, ChoicesWithAndWithoutLeadingSpace) {
  Task task = small_task(0);
  task.settings.delimiter = "\n";
  task.items[0] = {{"Q"}, {"c", " d", "e"}, 0, 1};
  const auto requests = item_requests(task, 0, 1, LetterTokenizer(), 0);
  size_t continuations = 0;
  for (const Request& request : requests) continuations += request.continuations.size();
  EXPECT_EQ(continuations, 3u);
}

TEST(Gates, CompareWithTheReference) {
  TaskResult reference, model;
  reference.baseline = model.baseline = 0.25;
  reference.acc = 0.5;
  model.acc = 0.4976;  // 0.2476 / 0.25 = 99.04 % above chance
  EXPECT_NO_THROW(check_task_gate(99, {model}, {reference}));
  model.acc = 0.497;
  EXPECT_THROW(check_task_gate(99, {model}, {reference}), base::GateMissed);
  EXPECT_NO_THROW(check_perplexity_gate(99, 10.1, 10));
  EXPECT_THROW(check_perplexity_gate(99, 10.11, 10), base::GateMissed);
  EXPECT_THROW(check_perplexity_gate(99, NAN, 10), base::GateMissed);
}

}  // namespace
}  // namespace aquatint::eval
