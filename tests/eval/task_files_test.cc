#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "eval/comparison.h"
#include "eval/examples.h"
#include "eval/task_items.h"
#include "eval/task_requests.h"
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
  EXPECT_EQ(task.config.kind, TaskKind::multiple_choice);
  ASSERT_EQ(task.items.size(), 2u);
  EXPECT_EQ(task.items[1].line, 3);
  EXPECT_THAT(task.items[0].gold, testing::ElementsAre(2));
  EXPECT_THAT(task.items[1].choices, testing::ElementsAre("p", "q"));
  EXPECT_EQ(task.config.shots, 0);
  EXPECT_EQ(task.config.delimiter, " ");
  EXPECT_DOUBLE_EQ(task.baseline, 0.375);  // mean of 1/4 and 1/2
}

TEST_F(TaskFiles, SchemaAndLanguageModelling) {
  const Task schema =
      load_task("", write("s.jsonl", R"({"context_options": ["a", "b"], "continuation": "c", "gold": 1})"));
  EXPECT_EQ(schema.config.kind, TaskKind::schema);
  EXPECT_DOUBLE_EQ(schema.baseline, 0.5);
  const Task plain =
      load_task("", write("l.jsonl", R"({"context": "a", "continuation": "c", "category": "x"})"));
  EXPECT_EQ(plain.config.kind, TaskKind::language_modelling);
  EXPECT_DOUBLE_EQ(plain.baseline, 0);
}

TEST_F(TaskFiles, SettingsComeFromTheTableOrTheFileBeside) {
  const auto file = write("t.jsonl", kChoices + kChoices);
  const Task named = load_task("arc_easy", file);
  EXPECT_EQ(named.name, "arc_easy");
  EXPECT_EQ(named.config.shots, 3);
  EXPECT_EQ(named.config.question_suffix, "\nAnswer:");
  EXPECT_DOUBLE_EQ(named.baseline, 0.25);
  EXPECT_EQ(load_task("arc_easy", file, 0).config.shots, 0);
  EXPECT_THROW(load_task("unheard_of", file), base::BadUsage);

  write("t.yaml", "shots: 1\ndelimiter: \"\\n-> \"\nbaseline: 0.125\n");
  const Task beside = load_task("unheard_of", file);
  EXPECT_EQ(beside.config.shots, 1);
  EXPECT_EQ(beside.config.question_suffix, "\n->");
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
        R"({"query": "Q", "choices": ["x", "y"], "gold": "z"})", R"({"query": "Q", "choices": ["x", "y"]})",
        R"({"query": "Q", "choices": ["x", "y"], "gold": []})",
        R"({"query": "Q", "choices": ["x", "y"], "gold": 0.5})",
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
  const auto check = [](const char* context, const char* continuation, const char* want_context,
                        const char* want_continuation) {
    const ContextAndContinuation moved = move_spaces(context, continuation);
    EXPECT_EQ(moved.context, want_context);
    EXPECT_EQ(moved.continuation, want_continuation);
  };
  check("Q", " x", "Q", " x");
  check("Answer: ", " x", "Answer:", "  x");
  check("", "x", "", "x");
  check(" \n", "x", "", " \nx");
}

// Questions Qp … Qs whose first choice, goodp … goods, is right.
Task small_task(int shots) {
  Task task;
  task.file = "t.jsonl";
  task.config = *item_form({{"query", ""}, {"choices", ""}});
  task.config.shots = shots;
  for (const char* letter : {"p", "q", "r", "s"}) {
    const std::string good = std::string("good") + letter;
    task.items.push_back(make_item(
        task.config, {{"query", std::string("Q") + letter}, {"choices", {good, "bad"}}, {"gold", 0}}, "t"));
    task.items.back().identity = std::ssize(task.items);
  }
  return task;
}

Task with_item(Task task, const std::string& query, const std::vector<std::string>& choices) {
  task.items[0] = make_item(task.config, {{"query", query}, {"choices", choices}, {"gold", 0}}, "t");
  return task;
}

std::vector<Request> requests_of(const Task& task, const LetterTokenizer& tokenizer = LetterTokenizer(),
                                 int32_t fallback = 0) {
  const TaskOptions options;
  const Prompter prompter(task, task.items.size(), options);
  return item_requests(task, 0, prompter, Encoder(tokenizer, fallback));
}

TEST(TaskText, DelimitersAndTheirSpaces) {
  const auto continuation_of = [](std::string_view delimiter, const std::string& choice) {
    Task task = small_task(0);
    task.config.set_delimiter(delimiter);
    const TaskOptions options;
    task = with_item(task, "Q", {choice, "other"});
    const Prompter prompter(task, 1, options);
    return prompter.contexts(0).front() + "|" + prompter.continuation(choice);
  };
  EXPECT_EQ(continuation_of(" ", "x"), "Q| x");
  EXPECT_EQ(continuation_of("\nAnswer: ", "x"), "Q\nAnswer:| x");
  EXPECT_EQ(continuation_of(" ", " 2"), "Q| 2");  // no second space
  EXPECT_EQ(continuation_of("\nAnswer: ", " x"), "Q\nAnswer:| x");
}

TEST(TaskText, ExamplesLeaveTheItemOut) {
  const Task task = small_task(3);
  const TaskOptions options;
  const Prompter prompter(task, 4, options);
  for (size_t index = 0; index < 4; ++index) {
    const std::string text = prompter.contexts(index).front();
    for (size_t other = 0; other < 4; ++other) {
      const std::string example = task.items[other].questions[0] + " " + task.items[other].choices[0] + "\n";
      EXPECT_EQ(text.find(example) != std::string::npos, other != index);
    }
    EXPECT_TRUE(text.ends_with("\n" + task.items[index].questions[0]));
  }
}

TEST(TaskText, TheFirstExamplesOrDrawnOnesFromAPool) {
  Task task = small_task(2);
  task.config.first_examples = true;
  EXPECT_THAT(choose_examples(task, 4, 1),
              testing::ElementsAre(testing::ElementsAre(1, 2), testing::ElementsAre(0, 2),
                                   testing::ElementsAre(0, 1), testing::ElementsAre(0, 1)));
  task.items[2].identity = task.items[0].identity;  // the same document again: no example for itself
  EXPECT_THAT(choose_examples(task, 1, 1), testing::ElementsAre(testing::ElementsAre(1, 3)));
  task.pool = small_task(0).items;
  task.config.test_split = "test";
  task.config.fewshot_split = "train";
  EXPECT_THAT(choose_examples(task, 1, 1), testing::ElementsAre(testing::ElementsAre(0, 1)));
}

// Expected values of CPython 3.11: random.Random(seed).sample(range(population), count), one after another.
TEST(PythonRandom, EqualsPythons) {
  PythonRandom random(1234);
  EXPECT_THAT(random.sample(50, 6), testing::ElementsAre(49, 28, 7, 0, 5, 37));
  EXPECT_THAT(random.sample(2000, 4), testing::ElementsAre(71, 1375, 1419, 171));
  EXPECT_THAT(random.sample(10, 3), testing::ElementsAre(1, 5, 3));
  PythonRandom wide((uint64_t{1} << 40) + 7);
  EXPECT_THAT(wide.sample(100000, 5), testing::ElementsAre(80439, 97953, 83823, 74762, 92483));
}

TEST(TaskText, TokensSplitAtTheContextsLength) {
  Task task = small_task(0);
  task.config.set_delimiter("");
  // "xabc" is x, ab, c: one token more than the two of "xa", so only c is left to score.
  const auto requests = requests_of(with_item(task, "xa", {"bc", "d"}));
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_THAT(requests[0].context, testing::ElementsAre('x', 'a'));
  EXPECT_THAT(requests[0].continuations[0], testing::ElementsAre('c'));
  EXPECT_THAT(requests[0].continuations[1], testing::ElementsAre('d'));
  EXPECT_THROW(requests_of(with_item(task, "xa", {"b", "d"})), base::BadInput);
}

TEST(TaskText, BosComesFirstAndStandsForAnEmptyContext) {
  const Task task = with_item(small_task(0), "", {"c", "d"});
  EXPECT_THAT(requests_of(task, LetterTokenizer(257), 5)[0].context, testing::ElementsAre(257));
  EXPECT_THAT(requests_of(task, LetterTokenizer(), 5)[0].context, testing::ElementsAre(5));
  EXPECT_THAT(requests_of(small_task(0), LetterTokenizer(257), 5)[0].context,
              testing::ElementsAre(257, 'Q', 'p'));
}

TEST(TaskText, ChoicesWithAndWithoutLeadingSpace) {
  Task task = small_task(0);
  task.config.set_delimiter("\n");
  size_t continuations = 0;
  for (const Request& request : requests_of(with_item(task, "Q", {"c", " d", "e"})))
    continuations += request.continuations.size();
  EXPECT_EQ(continuations, 3u);
}

TEST(Rolling, WindowsPredictEachTokenOnceAndShareOne) {
  std::vector<int32_t> tokens(10);
  for (int32_t i = 0; i < 10; ++i) tokens[static_cast<size_t>(i)] = 100 + i;
  const auto requests = rolling_requests(tokens, 7, 4);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_THAT(requests[0].context, testing::ElementsAre(7));
  EXPECT_THAT(requests[0].continuations[0], testing::ElementsAre(100, 101, 102, 103));
  EXPECT_THAT(requests[1].context, testing::ElementsAre(103));
  EXPECT_THAT(requests[1].continuations[0], testing::ElementsAre(104, 105, 106, 107));
  EXPECT_THAT(requests[2].context,
              testing::ElementsAre(105, 106, 107));  // four positions run, the last one predicts
  EXPECT_THAT(requests[2].continuations[0], testing::ElementsAre(108, 109));
}

TEST(Gates, CompareWithTheReference) {
  const auto result = [](double right) {
    TaskResult r;
    r.name = "t";
    r.baseline = 0.25;
    r.n = 10000;
    Metric metric;
    metric.name = "acc";
    for (int i = 0; i < 10000; ++i) metric.values.push_back(i < right * 10000);
    metric.value = right;
    r.metrics = {metric};
    return r;
  };
  EXPECT_NO_THROW(
      check_task_gate(99, compare({result(0.4976)}, {result(0.5)})));  // 0.2476 / 0.25 = 99.04 % above chance
  EXPECT_THROW(check_task_gate(99, compare({result(0.497)}, {result(0.5)})), base::GateMissed);
  EXPECT_THROW(check_task_gate(99, compare({result(0.5)}, {result(0.25)})),
               base::GateMissed);  // nothing to recover
  EXPECT_NO_THROW(check_perplexity_gate(99, 10.1, 10));
  EXPECT_THROW(check_perplexity_gate(99, 10.11, 10), base::GateMissed);
  EXPECT_THROW(check_perplexity_gate(99, NAN, 10), base::GateMissed);
}

}  // namespace
}  // namespace aquatint::eval
