#include <fmt/format.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/precision.h"
#include "eval/tasks.h"
#include "eval/text_quality.h"
#include "report/table.h"
#include "runtime/text_io.h"

namespace aquatint::cli {
namespace {

struct Options {
  std::string model, reference, text, tasks, precision = "bf16", kv_format = "auto",
                                             reference_precision = "fp32";
  eval::WindowOptions windows;
  eval::TaskOptions task_options;
  int shots = -1;
  double gate = 0;
};

// One model with what is needed to feed it text.
struct Subject {
  std::unique_ptr<model::Model> model;
  std::unique_ptr<text::Tokenizer> tokenizer;
};

struct Outcome {
  std::optional<eval::TextResult> text;
  std::optional<double> reference_perplexity;
  std::string cache;  // of the model's keys and values
  std::vector<eval::TaskResult> tasks, reference_tasks;
};

Subject open(const std::string& name, const api::Backend& backend, const std::string& precision,
             const std::string& kv_format) {
  std::shared_ptr<const checkpoint::Checkpoint> checkpoint = checkpoint::open_checkpoint(name);
  return {model::Model::load(checkpoint, backend.at(parse_precision(precision), parse_kv_format(kv_format))),
          runtime::load_tokenizer(*checkpoint)};
}

std::vector<eval::TaskResult> run_tasks(const Options& o, const std::vector<eval::Task>& tasks,
                                        Subject& subject) {
  std::vector<eval::TaskResult> results;
  for (const eval::Task& task : tasks)
    results.push_back(eval::run_task(*subject.model, *subject.tokenizer, task, o.task_options));
  return results;
}

Outcome evaluate(const Options& o, const api::Backend& backend) {
  Outcome outcome;
  Subject subject = open(o.model, backend, o.precision, o.kv_format);
  outcome.cache = subject.model->cache_words();
  std::optional<Subject> reference;
  if (!o.reference.empty()) reference = open(o.reference, backend, o.reference_precision, "auto");
  if (!o.text.empty()) {
    const eval::Windows windows(*subject.tokenizer, base::read_text(o.text), o.windows, o.text);
    if (reference) {
      const eval::ReferenceStates states(*reference->model, windows);
      outcome.text = eval::evaluate_text(*subject.model, states);
      outcome.reference_perplexity = states.perplexity().value;
    } else {
      outcome.text = eval::evaluate_text(*subject.model, windows);
    }
  }
  if (!o.tasks.empty()) {
    const std::vector<eval::Task> tasks = eval::load_tasks(o.tasks, o.shots);
    outcome.tasks = run_tasks(o, tasks, subject);
    if (reference) outcome.reference_tasks = run_tasks(o, tasks, *reference);
  }
  return outcome;
}

base::Json as_json(const Outcome& r) {
  base::Json j = r.text ? eval::to_json(*r.text) : base::Json::object();
  j["kv_cache"] = r.cache;
  if (!r.tasks.empty()) j["tasks"] = base::Json::object();
  for (size_t i = 0; i < r.tasks.size(); ++i)
    j["tasks"][r.tasks[i].name] =
        eval::to_json(r.tasks[i], i < r.reference_tasks.size() ? &r.reference_tasks[i] : nullptr);
  return j;
}

std::string text_lines(const Outcome& r) {
  const eval::Perplexity& p = r.text->perplexity;
  std::string text = fmt::format(
      "perplexity      {:.4f} ± {:.4f}   {} tokens in {} windows of {}, scored from position {}\n", p.value,
      p.standard_error, p.tokens, p.windows, p.context, p.score_from);
  text += fmt::format("cache           {}\n", r.cache);
  if (!r.text->divergence) return text;
  const eval::DivergenceResult& d = *r.text->divergence;
  return text + fmt::format(
                    "reference       {:.4f}\nmean KLD        {:.6f} ± {:.6f} nats   99 %: {:.5f}\nsame top "
                    "token  {:.2f} %\n",
                    d.reference_perplexity, d.mean_kld, d.mean_kld_stderr, d.p99_kld, 100 * d.same_top1);
}

std::string task_lines(const Outcome& r) {
  report::Table table(
      {{"task", report::Align::left}, {"n"}, {"shots"}, {"acc"}, {"±"}, {"acc_norm"}, {"reference acc"}});
  for (size_t i = 0; i < r.tasks.size(); ++i) {
    const eval::TaskResult& t = r.tasks[i];
    table.add({t.name, fmt::format("{}", t.n), fmt::format("{}", t.shots), fmt::format("{:.4f}", t.acc),
               fmt::format("{:.4f}", t.acc_stderr), t.acc_norm ? fmt::format("{:.4f}", *t.acc_norm) : "",
               i < r.reference_tasks.size() ? fmt::format("{:.4f}", r.reference_tasks[i].acc) : ""});
  }
  return table.text();
}

void check_gate(const Options& o, const Outcome& r) {
  if (o.gate <= 0) return;
  if (!r.tasks.empty())
    eval::check_task_gate(o.gate, r.tasks, r.reference_tasks);
  else
    eval::check_perplexity_gate(o.gate, r.text->perplexity.value, *r.reference_perplexity);
}

void run(const Options& o, const Common& common) {
  if (o.text.empty() && o.tasks.empty()) throw base::BadUsage("eval needs --text FILE or --tasks FILE");
  if (o.gate > 0 && o.reference.empty())
    throw base::BadUsage("--gate compares with a reference: add --reference MODEL");
  const api::Backend backend(common.backend);
  const Outcome outcome = evaluate(o, backend);
  if (common.json)
    print_json(as_json(outcome));
  else
    print_result((outcome.text ? text_lines(outcome) : "") +
                 (outcome.tasks.empty() ? "" : task_lines(outcome)));
  check_gate(o, outcome);
}

}  // namespace

std::function<void()> add_eval(CLI::App& app, Common& common) {
  auto o = std::make_shared<Options>();
  add_model(app, o->model);
  add_backend_options(app, common);
  add_seed(app, common);
  add_precision(app, o->precision);
  add_kv_format(app, o->kv_format);
  option(app, "--reference", o->reference, "model to measure divergence from, run in FP32");
  option(app, "--reference-precision", o->reference_precision, "fp32 or bf16")
      ->check(CLI::IsMember({"bf16", "fp32"}));
  option(app, "--text", o->text, "plain UTF-8 text");
  option(app, "--context", o->windows.context, "tokens per window");
  option(app, "--stride", o->windows.stride, "start to start of windows; 0: the context");
  option(app, "--score-from", o->windows.score_from, "first scored position of a window");
  option(app, "--windows", o->windows.windows, "at most so many; 0: all");
  option(app, "--tasks", o->tasks, "FILE.jsonl or NAME=FILE, separated by commas");
  option(app, "--shots", o->shots, "examples before each item; default: the task's own");
  option(app, "--limit", o->task_options.limit, "items per task; 0: all");
  option(app, "--gate", o->gate, "exit 5 unless so many percent of the reference's quality are kept")
      ->check(CLI::Range(0.0, 1000.0));
  return [o, &common] {
    if (common.seed) o->task_options.seed = common.seed;
    run(*o, common);
  };
}

}  // namespace aquatint::cli
