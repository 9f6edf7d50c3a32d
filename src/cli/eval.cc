#include <fmt/format.h>

#include "api/task_results.h"
#include "base/file.h"
#include "base/machine.h"
#include "cli/command.h"
#include "cli/eval_report.h"
#include "cli/precision.h"
#include "eval/samples.h"
#include "runtime/text_io.h"

namespace aquatint::cli {
namespace {

namespace fs = std::filesystem;

struct EvalOptions {
  std::string model, reference, text, tasks, precision = "bf16", kv_format = "auto",
                                             reference_precision = "fp32";
  eval::WindowOptions windows;
  eval::TaskOptions task_options;
  bool chat = false;
  int shots = -1;
  double gate = 0;
  bool noise_floor = false;
  int64_t shown_flips = 1;
  std::string store;  // SQLite file of item results
  std::string command_line;
  std::string output;  // folder for lm-evaluation-harness' files
};

// One model with what is needed to feed it text.
struct Subject {
  std::string name, sha256;  // sha256: for the store alone
  std::unique_ptr<model::Model> model;
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<runtime::Chat> chat;
  std::vector<int32_t> stop_ids;
  std::string arithmetic;  // kernels, precision, cache
};

Subject open(const EvalOptions& o, const std::string& name, const api::Backend& backend,
             const std::string& precision, const std::string& kv_format) {
  std::shared_ptr<const checkpoint::Checkpoint> checkpoint = checkpoint::open_checkpoint(name);
  Subject subject;
  subject.name = name;
  if (!o.store.empty()) subject.sha256 = api::subject_sha256(*checkpoint);
  subject.model =
      model::Model::load(checkpoint, backend.at(parse_precision(precision), parse_kv_format(kv_format)));
  subject.tokenizer = runtime::load_tokenizer(*checkpoint);
  subject.chat = runtime::Chat::load(*checkpoint);
  subject.stop_ids = runtime::stop_ids(*checkpoint, subject.model->config());
  subject.arithmetic =
      fmt::format("{} {} {}", backend.kernels().name, precision, subject.model->cache_words());
  return subject;
}

eval::TaskOptions task_options(const EvalOptions& o, const Subject& subject) {
  eval::TaskOptions options = o.task_options;
  options.stop_ids = subject.stop_ids;
  if (o.chat && !subject.chat)
    throw base::BadInput(fmt::format("{}: no chat template; leave out --chat", subject.name));
  if (o.chat) options.chat = subject.chat.get();
  return options;
}

std::vector<eval::TaskResult> run_tasks(const EvalOptions& o, const std::vector<eval::Task>& tasks,
                                        const Subject& subject) {
  std::unique_ptr<report::TaskStore> store;
  if (!o.store.empty()) store = std::make_unique<report::TaskStore>(o.store);
  const api::TaskSubject runs = {subject.model.get(), subject.tokenizer.get(), subject.name, subject.sha256,
                                 subject.arithmetic};
  std::vector<eval::TaskResult> results;
  for (const eval::Task& task : tasks)
    results.push_back(api::task_result(runs, task, task_options(o, subject), store.get()));
  return results;
}

// Divergence compares distributions over the same tokens.
void require_same_tokens(const EvalOptions& o, const eval::Windows& model, const eval::Windows& reference) {
  bool same = model.count() == reference.count();
  for (int64_t i = 0; same && i < model.count(); ++i) same = model.window(i) == reference.window(i);
  if (!same)
    throw base::BadInput(
        fmt::format("{}: its tokenizer reads {} into other tokens than that of {}; divergence needs the same "
                    "ones (tasks do not)",
                    o.reference, o.text, o.model));
}

// What takes part in an evaluation; all but the model may be missing.
struct Subjects {
  Subject model;
  std::optional<Subject> reference;
  std::optional<Subject> again;  // the reference with another number of threads: for the noise floor
};

void measure_text(const EvalOptions& o, Subjects& subjects, Evaluation& outcome) {
  const std::string text = base::read_text(o.text);
  const eval::Windows windows(*subjects.model.tokenizer, text, o.windows, o.text);
  if (!subjects.reference) {
    outcome.text = eval::evaluate_text(*subjects.model.model, windows);
    return;
  }
  require_same_tokens(o, windows, {*subjects.reference->tokenizer, text, o.windows, o.text});
  const eval::ReferenceStates states(*subjects.reference->model, windows);
  outcome.text = eval::evaluate_text(*subjects.model.model, states);
  outcome.reference_perplexity = states.perplexity().value;
  if (subjects.again)
    outcome.noise_kld = eval::evaluate_text(*subjects.again->model, states).divergence->mean_kld;
}

void write_files(const EvalOptions& o, const std::vector<eval::Task>& tasks,
                 const std::vector<eval::TaskResult>& results, const Subject& subject, const char* folder) {
  const eval::RunRecord record = {subject.name,
                                  base::version(),
                                  base::utc_date(),
                                  {{"model", "aquatint"},
                                   {"arithmetic", subject.arithmetic},
                                   {"seed", o.task_options.seed},
                                   {"limit", o.task_options.limit},
                                   {"chat", o.chat},
                                   {"command", o.command_line}}};
  eval::write_harness_files(fs::path(o.output) / folder, tasks, results, task_options(o, subject), record);
}

void measure_tasks(const EvalOptions& o, const std::vector<eval::Task>& tasks, Subjects& subjects,
                   Evaluation& outcome) {
  report::TaskEvaluation& found = outcome.tasks;
  found.results = run_tasks(o, tasks, subjects.model);
  outcome.gauntlet = eval::gauntlet_averages(tasks, found.results);
  if (!o.output.empty()) write_files(o, tasks, found.results, subjects.model, "model");
  if (!subjects.reference) return;
  found.reference_results = run_tasks(o, tasks, *subjects.reference);
  if (!o.output.empty()) write_files(o, tasks, found.reference_results, *subjects.reference, "reference");
  found.comparison = eval::compare(found.results, found.reference_results);
  if (subjects.again)
    outcome.noise_floor = eval::noise_floor(*subjects.again->model, *subjects.again->tokenizer, tasks,
                                            found.reference_results, task_options(o, *subjects.again));
}

Evaluation evaluate(const EvalOptions& o, const api::BackendOptions& options) {
  Evaluation outcome;
  outcome.shown_flips = o.shown_flips;
  std::vector<eval::Task> tasks;
  if (!o.tasks.empty()) tasks = eval::load_tasks(o.tasks, o.shots);
  const api::Backend backend(options);
  std::optional<api::Backend> other;
  Subjects subjects = {open(o, o.model, backend, o.precision, o.kv_format), {}, {}};
  if (!o.reference.empty()) subjects.reference = open(o, o.reference, backend, o.reference_precision, "auto");
  if (o.noise_floor) {
    api::BackendOptions changed = options;
    changed.threads = backend.pool().size() == 1 ? 2 : 1;
    other.emplace(changed);
    subjects.again = open(o, o.reference, *other, o.reference_precision, "auto");
  }
  outcome.cache = subjects.model.model->cache_words();
  outcome.adds_bos = subjects.model.tokenizer->bos_id().has_value();
  if (!o.text.empty()) measure_text(o, subjects, outcome);
  if (!tasks.empty()) measure_tasks(o, tasks, subjects, outcome);
  return outcome;
}

void check_gate(const EvalOptions& o, const Evaluation& r) {
  if (o.gate <= 0) return;
  if (r.tasks.comparison && !r.tasks.comparison->tasks.empty())
    eval::check_task_gate(o.gate, *r.tasks.comparison);
  else if (r.reference_perplexity)
    eval::check_perplexity_gate(o.gate, r.text->perplexity.value, *r.reference_perplexity);
  else
    throw base::BadUsage("--gate needs tasks with an accuracy, or --text");
}

void run_eval(const EvalOptions& o, const Common& common) {
  if (o.text.empty() && o.tasks.empty()) throw base::BadUsage("eval needs --text FILE or --tasks FILE");
  if (!o.output.empty() && o.tasks.empty())
    throw base::BadUsage("--output-path is for the results of tasks: add --tasks FILE");
  if (o.gate > 0 && o.reference.empty())
    throw base::BadUsage("--gate compares with a reference: add --reference MODEL");
  if (o.noise_floor && o.reference.empty())
    throw base::BadUsage("--noise-floor is that of the reference: add --reference MODEL");
  const Evaluation outcome = evaluate(o, common.backend);
  if (common.json)
    print_json(as_json(outcome));
  else
    print_result(as_text(outcome));
  check_gate(o, outcome);
}

}  // namespace

std::function<void()> add_eval(CLI::App& app, Common& common) {
  auto o = std::make_shared<EvalOptions>();
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
  option(app, "--tasks", o->tasks, "FILE.jsonl, NAME=FILE, TASK.yaml or TASK.yaml=FILE, separated by commas");
  option(app, "--shots", o->shots, "examples before each item; default: the task's own");
  option(app, "--limit", o->task_options.limit, "items per task; 0: all");
  app.add_flag("--chat", o->chat, "put prompts of tasks into the model's chat template");
  app.add_flag("--one-turn", o->task_options.one_turn, "with --chat: examples and question in one message");
  app.add_flag("--noise-floor", o->noise_floor,
               "run the reference again in other batches and threads and show what changes");
  option(app, "--flips", o->shown_flips,
         "examples shown of answers that the model lost and gained, each task");
  option(app, "--store", o->store, "SQLite file that keeps every item's result: nothing is computed twice");
  option(app, "--output-path", o->output,
         "folder for results and samples as lm-evaluation-harness writes them");
  option(app, "--gate", o->gate, "exit 5 unless so many percent of the reference's quality are kept")
      ->check(CLI::Range(0.0, 1000.0));
  return [o, &common] {
    if (common.seed) o->task_options.seed = common.seed;
    o->command_line = common.command_line;
    run_eval(*o, common);
  };
}

}  // namespace aquatint::cli
