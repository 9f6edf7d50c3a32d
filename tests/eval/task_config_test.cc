#include "eval/task_config.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "eval/answers.h"
#include "eval/task_identity.h"
#include "eval/task_items.h"

namespace aquatint::eval {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class TaskYaml : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("aquatint-yaml-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  std::string error_of(const std::string& yaml) {
    try {
      read_task_config(write("bad.yaml", yaml));
    } catch (const base::BadInput& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  fs::path folder_;
};

const std::string kQuestion =
    "dataset_path: some/dataset\ntest_split: test\noutput_type: multiple_choice\n"
    "doc_to_text: \"Question: {{question.strip()}}\\nAnswer:\"\ndoc_to_target: "
    "\"{{choices.label.index(key)}}\"\n"
    "doc_to_choice: \"{{choices.text}}\"\n";

TEST_F(TaskYaml, TheHarnessFilesAreRead) {
  write("base_yaml", kQuestion + "num_fewshot: 2\ntag: [a, b]\nmetadata:\n  version: 1.0\n");
  const auto path =
      write("t.yaml",
            "include: base_yaml\ntask: mine\ntraining_split: train\nfewshot_config:\n  sampler: first_n\n"
            "dataset_kwargs:\n  data_files: {test: t.jsonl, train: [train.jsonl]}\n"
            "metric_list:\n  - metric: acc_norm\n    aggregation: mean\n");
  const TaskConfig config = read_task_config(path);
  EXPECT_EQ(config.name, "mine");
  EXPECT_EQ(config.shots, 2);
  EXPECT_TRUE(config.first_examples);
  EXPECT_EQ(config.item_split(), "test");
  EXPECT_EQ(config.example_split(), "train");
  EXPECT_FALSE(config.excludes_itself());
  EXPECT_EQ(config.data.at("train"), folder_ / "train.jsonl");
  EXPECT_EQ(config.delimiter, " ");
  EXPECT_EQ(config.example_delimiter, "\n\n");
  ASSERT_EQ(config.metrics.size(), 1u);
  EXPECT_EQ(config.metrics[0].name, "acc_norm");

  const TaskItem item = make_item(
      config,
      Document::parse(
          R"({"question": " Why? ", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "key": "B"})"),
      "t");
  EXPECT_THAT(item.questions, ElementsAre("Question: Why?\nAnswer:"));
  EXPECT_THAT(item.choices, ElementsAre("a", "b"));
  EXPECT_THAT(item.gold, ElementsAre(1));
  EXPECT_EQ(item.example_answer, "b");
}

TEST_F(TaskYaml, FoldedAndEscapedTextsAreYamls) {
  const TaskConfig config =
      read_task_config(write("t.yaml",
                             "description: 'Questions.\n\n\n  '\ntarget_delimiter: \"\"\nfewshot_delimiter: "
                             "\"\\n---\\\n   \\n\"\ndoc_to_text: |\n  a\n  b\n"));
  EXPECT_EQ(config.description.of(Document::object()), "Questions.\n\n");
  EXPECT_EQ(config.delimiter, "");
  EXPECT_EQ(config.example_delimiter, "\n---\n");
  EXPECT_EQ(config.question.of(Document::object()), "a\nb\n");
}

TEST_F(TaskYaml, GenerationAndItsFilters) {
  const TaskConfig config =
      read_task_config(write("t.yaml",
                             "output_type: generate_until\ndoc_to_text: q\ndoc_to_target: "
                             "a\ngeneration_kwargs: {until: ['Q:'], max_gen_toks: 7, do_sample: false}\n"
                             "filter_list:\n  - name: strict-match\n    filter:\n      - {function: regex, "
                             "regex_pattern: '#### (\\-?[0-9]+)'}\n      - {function: take_first}\n"
                             "  - name: flexible-extract\n    filter:\n      - {function: regex, "
                             "group_select: -1, regex_pattern: '(-?[$0-9.,]{2,})|(-?[0-9]+)'}\n"
                             "metric_list:\n  - {metric: exact_match, ignore_case: true, regexes_to_ignore: "
                             "[',', '\\$', '\\.$']}\n"));
  EXPECT_EQ(config.max_tokens, 7);
  EXPECT_THAT(config.until, ElementsAre("Q:"));
  ASSERT_EQ(config.filters.size(), 2u);
  const AnswerExtractor strict(config.filters[0], "t"), flexible(config.filters[1], "t");
  const std::string text = "5 and 6 make $1,100.\n#### 11";
  EXPECT_EQ(strict.extract(text), "11");
  EXPECT_EQ(strict.extract("no answer"), "[invalid]");
  EXPECT_EQ(flexible.extract("5 and 6 make $1,100."), "$1,100.");
  const ExactMatch match(config.metrics[0], "t");
  EXPECT_TRUE(match.matches("$1,100.", {"x", "1100"}));
  EXPECT_TRUE(match.matches("YES", {"yes"}));
  EXPECT_FALSE(match.matches("1100", {"110"}));
}

TEST(Answers, StopStringsCutTheText) {
  EXPECT_EQ(cut_at_stop("one\n\ntwo", {"two", "\n\n", ""}), "one");
  EXPECT_EQ(cut_at_stop("one", {"two"}), "one");
}

TEST_F(TaskYaml, AQuestionThatIsANumberMakesASchema) {
  const auto items =
      write("w.jsonl", R"({"sentence": "The _ ran.", "option1": "cat", "option2": "dog", "answer": "2"})"
                       "\n"
                       R"({"sentence": "A _ sat.", "option1": "cow", "option2": "hen", "answer": "1"})");
  const Task task = load_task("winogrande", items, 1);
  EXPECT_EQ(task.config.kind, TaskKind::schema);
  EXPECT_THAT(task.items[0].questions, ElementsAre("The cat", "The dog"));
  EXPECT_THAT(task.items[0].choices, ElementsAre("ran."));
  EXPECT_THAT(task.items[0].gold, ElementsAre(1));
  EXPECT_EQ(task.items[0].example_question, "The dog");
}

TEST_F(TaskYaml, KnownTasksTakeTheirDatasetsDocuments) {
  const Task swag = load_task(
      "hellaswag",
      write(
          "h.jsonl",
          R"({"activity_label": "Sport", "ctx_a": "A man.", "ctx_b": "he [title] Runs", "endings": [" goes [title] on", "x  y [sub] z"], "label": "1"})"),
      0);
  EXPECT_THAT(swag.items[0].questions, ElementsAre("Sport: A man. He. runs"));
  EXPECT_THAT(swag.items[0].choices, ElementsAre("goes. on", "x y z"));
  EXPECT_THAT(swag.items[0].gold, ElementsAre(1));
  const Task mmlu = load_task(
      "mmlu",
      write(
          "m.jsonl",
          R"({"question": " Q? ", "subject": "world_history", "choices": ["p", "q", "r", "s"], "answer": 2})"),
      0);
  EXPECT_EQ(mmlu.items[0].preamble,
            "The following are multiple choice questions (with answers) about world history.\n\n");
  EXPECT_THAT(mmlu.items[0].questions, ElementsAre("Q?\nA. p\nB. q\nC. r\nD. s\nAnswer:"));
  EXPECT_THAT(mmlu.items[0].choices, ElementsAre("A", "B", "C", "D"));
  const Task gsm = load_task(
      "gsm8k", write("g.jsonl", R"({"context": "1+1?", "chain_of_thought": "One and one.", "answer": "2"})"),
      0);
  EXPECT_EQ(gsm.items[0].example_answer, "One and one.\n#### 2");
  EXPECT_THAT(gsm.items[0].answers, ElementsAre("2"));
}

TEST_F(TaskYaml, TheIdentityIsThatOfRequestsAndJudgement) {
  const auto items = write("q.jsonl", R"({"query": "a", "choices": ["x", "y"], "gold": 0})"
                                      "\n"
                                      R"({"query": "b", "choices": ["x", "z"], "gold": 1})"
                                      "\n"
                                      R"({"query": "c", "choices": ["x", "z"], "gold": 1})");
  const Task task = load_task("", items, 1);
  const std::string identity = task_sha256(task, 3, 1234);
  EXPECT_EQ(task_sha256(load_task("", write("other.jsonl", base::read_text(items)), 1), 3, 1234), identity);
  EXPECT_NE(task_sha256(task, 2, 1234), identity);
  EXPECT_NE(task_sha256(load_task("", items, 2), 3, 1234), identity);
  EXPECT_NE(task_sha256(load_task("", items, 0), 3, 1234), task_sha256(load_task("piqa", items, 0), 3, 1234));
  Task changed = task;
  changed.items[2].gold = {0};
  EXPECT_NE(task_sha256(changed, 3, 1234), identity);
}

TEST_F(TaskYaml, WhatIsNotSupportedIsSaid) {
  EXPECT_THAT(error_of("doc_to_text: !function utils.doc_to_text\n"),
              HasSubstr("bad.yaml:1: '!function utils.doc_to_text' is Python code"));
  EXPECT_THAT(error_of("task: t\nprocess_docs: !function utils.docs\n"),
              HasSubstr("bad.yaml:2: '!function utils.docs' is Python code"));
  EXPECT_THAT(error_of("doc_to_txt: x\n"),
              HasSubstr("unknown key 'doc_to_txt' in a task; did you mean 'doc_to_text'?"));
  EXPECT_THAT(error_of("output_type: loglikely\n"), HasSubstr("known: multiple_choice"));
  EXPECT_THAT(error_of("generation_kwargs: {do_sample: true}\n"), HasSubstr("greedy"));
  EXPECT_THAT(error_of("repeats: 3\n"), HasSubstr("repeats"));
  EXPECT_THAT(error_of("metric_list: [{aggregation: mean}]\n"), HasSubstr("a metric needs a name"));
  EXPECT_THAT(error_of("filter_list: [{name: x, filter: [{function: majority_vote}]}]\n"),
              HasSubstr("filter function 'majority_vote'"));
  EXPECT_THAT(error_of("doc_to_text: '{{ x'\n"), HasSubstr("bad.yaml:1"));
  EXPECT_THAT(error_of("include: bad.yaml\n"), HasSubstr("includes follow one another too far"));
}

TEST_F(TaskYaml, WhatADocumentLacksIsSaidWithItsLine) {
  const auto path = write("t.yaml", kQuestion + "data: t.jsonl\n");
  const auto error = [&](const std::string& line) -> std::string {
    write("t.jsonl", R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "key": "A"})"
                     "\n" +
                         line + "\n");
    try {
      load_task("", path);
    } catch (const base::BadInput& e) {
      return e.what();
    }
    return "nothing was thrown";
  };
  EXPECT_THAT(error(R"({"choices": {"text": ["a", "b"], "label": ["A", "B"]}, "key": "A"})"),
              HasSubstr("t.jsonl, line 2: the question: "));
  EXPECT_THAT(error(R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "key": "C"})"),
              HasSubstr("line 2: the right answer"));
  EXPECT_THAT(error(R"({"question": "q", "choices": {"text": ["a", ""], "label": ["A", "B"]}, "key": "A"})"),
              HasSubstr("line 2: a choice is empty"));
}

}  // namespace
}  // namespace aquatint::eval
