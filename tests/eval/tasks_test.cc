#include "eval/tasks.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "eval/comparison.h"
#include "eval/scoring.h"
#include "eval/task_items.h"
#include "letter_tokenizer.h"
#include "small_model.h"

namespace aquatint::eval {
namespace {

std::vector<Request> random_requests(int64_t count) {
  base::Rng rng(11);
  std::vector<Request> requests(static_cast<size_t>(count));
  const auto fill = [&](size_t n) {
    std::vector<int32_t> tokens(n);
    for (int32_t& token : tokens) token = static_cast<int32_t>(rng.below(258));
    return tokens;
  };
  for (Request& request : requests) {
    request.context = fill(1 + rng.below(30));
    for (size_t choice = 0; choice < 1 + rng.below(4); ++choice)
      request.continuations.push_back(fill(1 + rng.below(6)));
  }
  return requests;
}

// Each continuation as a sequence of its own.
ContinuationScore plain_score(SmallModel& small, const std::vector<int32_t>& context,
                              const std::vector<int32_t>& continuation) {
  std::vector<int32_t> tokens = context;
  tokens.insert(tokens.end(), continuation.begin(), continuation.end());
  const auto log_p = small.log_probabilities(tokens);
  ContinuationScore score;
  for (size_t i = context.size(); i < tokens.size(); ++i) {
    const auto& row = log_p[i - 1];
    score.log_likelihood += row[static_cast<size_t>(tokens[i])];
    score.greedy = score.greedy && std::max_element(row.begin(), row.end()) - row.begin() == tokens[i];
  }
  return score;
}

TEST(Scoring, EqualsOneSequenceAtATime) {
  SmallModel small;
  const auto requests = random_requests(25);
  const auto scores = score(*small.model, requests, 64);
  for (size_t r = 0; r < requests.size(); ++r) {
    ASSERT_EQ(scores[r].size(), requests[r].continuations.size());
    for (size_t c = 0; c < scores[r].size(); ++c) {
      const ContinuationScore plain = plain_score(small, requests[r].context, requests[r].continuations[c]);
      EXPECT_NEAR(scores[r][c].log_likelihood, plain.log_likelihood, 1e-9);
      EXPECT_EQ(scores[r][c].greedy, plain.greedy);
    }
  }
}

TEST(Scoring, DoesNotDependOnTheBatch) {
  SmallModel small(3, kernels::Precision::bf16);
  const auto requests = random_requests(25);
  const auto alone = score(*small.model, requests, 1), together = score(*small.model, requests, 1 << 20);
  for (size_t r = 0; r < requests.size(); ++r)
    for (size_t c = 0; c < alone[r].size(); ++c)
      EXPECT_EQ(alone[r][c].log_likelihood, together[r][c].log_likelihood);
}

// Contexts that begin alike, in nested ways and not.
std::vector<Request> related_requests() {
  std::vector<Request> requests = random_requests(12);
  base::Rng rng(5);
  std::vector<int32_t> common(30), nested(28);
  for (int32_t& token : common) token = static_cast<int32_t>(rng.below(258));
  for (int32_t& token : nested) token = static_cast<int32_t>(rng.below(258));
  for (size_t i = 0; i < requests.size(); ++i) {
    std::vector<int32_t> context;
    const auto add = [&](const std::vector<int32_t>& tokens) {
      std::copy(tokens.begin(), tokens.end(), std::back_inserter(context));
    };
    if (i != 4) add(common);
    if (i % 3 == 0) add(nested);
    context.push_back(static_cast<int32_t>(i));
    requests[i].context = context;
  }
  requests.push_back(requests.front());
  requests.back().context = common;  // nothing but the prefix
  return requests;
}

TEST(Scoring, SharedPrefixesGiveTheSameBits) {
  for (const kernels::Precision precision : {kernels::Precision::fp32, kernels::Precision::bf16}) {
    SmallModel small(3, precision);
    const auto requests = related_requests();
    const auto together = score(*small.model, requests, 40);
    for (size_t r = 0; r < requests.size(); ++r) {
      const auto alone = score(*small.model, {requests[r]});
      for (size_t c = 0; c < together[r].size(); ++c)
        EXPECT_EQ(together[r][c].log_likelihood, alone[0][c].log_likelihood);
    }
  }
}

TEST(Scoring, CutsLongContextsAtTheirStart) {
  SmallModel small;  // 64 positions
  Request request{std::vector<int32_t>(100, 7), {{1, 2, 3}}};
  for (size_t i = 0; i < 100; ++i) request.context[i] = static_cast<int32_t>(i);
  const auto scores = score(*small.model, {request});
  const std::vector<int32_t> kept(request.context.end() - 62,
                                  request.context.end());  // 62 + 2 run, the third is predicted
  EXPECT_NEAR(scores[0][0].log_likelihood, plain_score(small, kept, {1, 2, 3}).log_likelihood, 1e-9);
  EXPECT_THROW(score(*small.model, {{{1}, {std::vector<int32_t>(65, 2)}}}), base::BadInput);
}

Task choices_task() {
  Task task;
  task.name = "t";
  task.file = "t.jsonl";
  task.config = *item_form({{"query", ""}, {"choices", ""}});
  task.baseline = 0.5;
  base::Rng rng(21);
  for (int i = 0; i < 12; ++i) {
    const auto word = [&](size_t n) {
      std::string text;
      for (size_t k = 0; k < n; ++k) text += static_cast<char>('c' + rng.below(20));
      return text;
    };
    task.items.push_back(make_item(task.config,
                                   {{"query", word(8)},
                                    {"choices", {word(2), word(9), "\u00e9\u00e9" + word(1)}},
                                    {"gold", rng.below(3)}},
                                   "t"));
    task.items.back().identity = i;
  }
  return task;
}

TEST(Tasks, MultipleChoice) {
  SmallModel small;
  const LetterTokenizer tokenizer;
  const Task task = choices_task();
  const TaskResult result = run_task(*small.model, tokenizer, task, {});
  int right = 0, right_norm = 0;
  for (size_t i = 0; i < task.items.size(); ++i) {
    const TaskItem& item = task.items[i];
    std::vector<double> sums, norms;
    for (const std::string& choice : item.choices) {
      sums.push_back(plain_score(small, tokenizer.encode(item.questions[0], false),
                                 tokenizer.encode(" " + choice, false))
                         .log_likelihood);
      const double characters = choice.starts_with("\u00e9") ? 3 : static_cast<double>(choice.size());
      norms.push_back(sums.back() / characters);
      EXPECT_NEAR(result.items[i].log_likelihoods[sums.size() - 1], sums.back(), 1e-9);
    }
    right += std::max_element(sums.begin(), sums.end()) - sums.begin() == item.gold[0];
    right_norm += std::max_element(norms.begin(), norms.end()) - norms.begin() == item.gold[0];
  }
  EXPECT_EQ(result.n, 12);
  const double acc = result.score()->value;
  EXPECT_DOUBLE_EQ(acc, right / 12.0);
  ASSERT_TRUE(result.find("acc_norm,none"));
  EXPECT_DOUBLE_EQ(result.find("acc_norm,none")->value, right_norm / 12.0);
  EXPECT_NEAR(result.score()->standard_error, std::sqrt(acc * (1 - acc) / 11), 1e-12);
  const base::Json json = to_json(result);
  for (const char* key : {"acc,none", "acc_stderr,none", "acc_norm,none", "n"})
    EXPECT_TRUE(json.contains(key)) << key;
  const Comparison comparison = compare({result}, {result});
  EXPECT_EQ(comparison.tasks[0].difference.mean, 0);
  EXPECT_EQ(comparison.tasks[0].mcnemar.p, 1);
}

TEST(Tasks, Schema) {
  SmallModel small;
  const LetterTokenizer tokenizer;
  Task task;
  task.file = "t.jsonl";
  task.config = *item_form({{"context_options", ""}});
  task.items = {
      make_item(task.config,
                {{"context_options", {"one context", "another longer context"}},
                 {"continuation", "end."},
                 {"gold", 1}},
                "t"),
      make_item(task.config, {{"context_options", {"xx", "yy"}}, {"continuation", "zz"}, {"gold", 0}}, "t")};
  const TaskResult result = run_task(*small.model, tokenizer, task, {});
  for (size_t i = 0; i < 2; ++i) {
    const TaskItem& item = task.items[i];
    for (size_t option = 0; option < 2; ++option)
      EXPECT_NEAR(result.items[i].log_likelihoods[option],
                  plain_score(small, tokenizer.encode(item.questions[option], false),
                              tokenizer.encode(" " + item.choices[0], false))
                      .log_likelihood,
                  1e-9);
    const bool second = result.items[i].log_likelihoods[1] > result.items[i].log_likelihoods[0];
    EXPECT_EQ(result.score()->values[i], second == (item.gold[0] == 1));
  }
  EXPECT_FALSE(result.find("acc_norm,none"));
}

TEST(Tasks, LanguageModelling) {
  SmallModel small;
  const LetterTokenizer tokenizer;
  Task task;
  task.file = "t.jsonl";
  task.config = *item_form({{"context", ""}, {"continuation", ""}});
  task.config.set_delimiter("");
  // The model's own greedy answer is right, another is not.
  const auto log_p = small.log_probabilities(tokenizer.encode("hello", false)).back();
  const auto best = std::max_element(log_p.begin(), log_p.end()) - log_p.begin();
  ASSERT_LT(best, 256);
  ASSERT_FALSE(std::isspace(static_cast<int>(best)));
  for (const auto letter : {best, best ^ 1})
    task.items.push_back(
        make_item(task.config,
                  {{"context", "hello"}, {"continuation", std::string(1, static_cast<char>(letter))}}, "t"));
  const TaskResult result = run_task(*small.model, tokenizer, task, {});
  EXPECT_THAT(result.score()->values, testing::ElementsAre(1, 0));
  EXPECT_DOUBLE_EQ(result.score()->value, 0.5);
  EXPECT_NEAR(result.find("perplexity,none")->value,
              std::exp(-(log_p[static_cast<size_t>(best)] + log_p[static_cast<size_t>(best ^ 1)]) / 2), 1e-9);
}

TEST(Tasks, LimitAndPairing) {
  SmallModel first(1), second(2);
  const LetterTokenizer tokenizer(257);
  Task task = choices_task();
  task.config.shots = 2;
  const TaskResult a = run_task(*first.model, tokenizer, task, {.limit = 5}),
                   b = run_task(*second.model, tokenizer, task, {.limit = 5});
  EXPECT_EQ(a.n, 5);
  const Comparison comparison = compare({a}, {b});
  EXPECT_DOUBLE_EQ(comparison.tasks[0].difference.mean, a.score()->value - b.score()->value);
  EXPECT_EQ(comparison.tasks[0].difference.n, 5);
}

}  // namespace
}  // namespace aquatint::eval
