#include "api/study_rows.h"

#include <algorithm>

#include "api/memory_ledger.h"
#include "api/self_calibration.h"
#include "api/task_results.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/machine.h"
#include "quant/pipeline.h"
#include "runtime/text_io.h"

namespace aquatint::api {
namespace fs = std::filesystem;
namespace {

report::Measured measured(double value, double error, int64_t n) { return {value, error, n}; }

void take_quality(report::StudyRow& row, const eval::TextResult& result) {
  const eval::Perplexity& p = result.perplexity;
  row.perplexity = measured(p.value, p.standard_error, p.windows);
  row.window_nll = p.window_nll;
  if (!result.divergence) return;
  const eval::DivergenceResult& d = *result.divergence;
  row.mean_kld = measured(d.mean_kld, d.mean_kld_stderr, p.windows);
  row.median_kld = d.median_kld;
  row.p90_kld = d.p90_kld;
  row.p95_kld = d.p95_kld;
  row.p99_kld = d.p99_kld;
  row.p999_kld = d.p999_kld;
  row.max_kld = d.max_kld;
  row.same_top1 = d.same_top1;
  for (const eval::DivergenceResult::Bin& bin : d.bins) row.kld_by_position.push_back(bin.mean_kld);
}

report::Measured measured(const eval::Metric* metric) {
  if (!metric) return {};
  return {metric->value, metric->standard_error, std::ssize(metric->values)};
}

report::TaskResult task_row(const eval::TaskResult& result) {
  report::TaskResult row;
  row.name = result.name;
  const eval::Metric* score = result.score();
  row.accuracy = measured(score);
  row.accuracy_norm = measured(result.find("acc_norm,none"));
  row.baseline = result.baseline;
  for (const double value : score ? score->values : std::vector<double>()) row.correct.push_back(value > 0);
  return row;
}

void take_speed(report::StudyRow& row, const bench::BenchResult& result) {
  row.weight_bytes = static_cast<double>(result.weight_bytes);
  row.peak_ram_bytes =
      static_cast<double>(result.peak_device_bytes > 0 ? result.peak_device_bytes : result.peak_ram_bytes);
  for (const bench::Run& run : result.runs)
    row.speed.push_back({run.batch, run.prompt_tokens, run.generate_tokens, run.prefill, run.decode,
                         run.bandwidth_utilization, run.flop_utilization});
}

void take_quantization(report::StudyRow& row, const quant::Report& report) {
  row.method = report.method;
  row.layout = report.layout;
  row.group = report.group;
  row.bits_per_weight = report.bits_per_weight;
  row.bits_per_parameter = report.bits_per_parameter;
  row.file_bytes = static_cast<double>(report.bytes);
  row.quantize_seconds = report.seconds;
  row.notes = report.notes;
  for (const quant::LayerReport& layer : report.layers)
    row.layers.push_back({layer.name, layer.relative_error, layer.error_basis});
}

// In the registry's spelling.
std::string scheme_words(const quant::Recipe& recipe) {
  return fmt::format("{}{}{}", recipe.scheme->name, recipe.kv ? "+" : "", recipe.kv ? recipe.kv->name : "");
}

}  // namespace

quant::Recipe study_recipe(const std::string& words, const StudyOptions& options) {
  quant::Recipe recipe;
  quant::set_scheme(words, recipe);
  recipe.methods = quant::complete_methods({quant::make_step(options.method)});
  return recipe;
}

StudyRows::StudyRows(const StudyOptions& options, const StudyInputs& inputs, const Backend& backend,
                     report::Store& store)
    : options_(options), inputs_(inputs), backend_(backend), store_(store) {
  if (!inputs.tasks.empty()) task_store_ = std::make_unique<report::TaskStore>(options.to / kTaskStore);
}

StudyRows::~StudyRows() = default;

void StudyRows::run_all() {
  run_reference();
  run_baseline();
  for (const std::string& words : options_.schemes) run_scheme(words);
}

// Everything a row's numbers depend on. A row with the same fingerprint would give the same quality again.
report::StudyRow StudyRows::new_row(const std::string& scheme, report::RowKind kind) const {
  const eval::WindowOptions& w = inputs_.windows.options();
  const bench::Workload& load = options_.workload;
  base::Json identity = {{"model", inputs_.model_sha256},
                         {"scheme", scheme},
                         {"method", kind == report::RowKind::candidate ? options_.method : ""},
                         {"text", inputs_.text_sha256},
                         {"windows", {w.context, w.stride, w.score_from, inputs_.windows.count()}},
                         {"tasks", {options_.tasks, options_.shots, options_.limit}},
                         {"workload", {load.prompt_tokens, load.generate_tokens, load.repeats, load.batches}},
                         {"kernels", backend_.kernels().name},
                         {"threads", backend_.pool().size()},
                         {"version", base::version()},
                         {"seed", options_.seed}};
  const std::string text = identity.dump();
  report::StudyRow row;
  row.scheme = scheme;
  row.kind = kind;
  row.fingerprint = base::sha256_hex(std::as_bytes(std::span(text)));
  row.provenance = {inputs_.model_sha256,
                    "",
                    base::version(),
                    base::cpu_name(),
                    "cpu",
                    std::string(backend_.kernels().name),
                    base::utc_date(),
                    options_.command,
                    options_.seed};
  return row;
}

bool StudyRows::finished(const report::StudyRow& row) const {
  const bool found = options_.resume && store_.find_row(row.fingerprint).has_value();
  if (found) base::info("{}: finished earlier, not repeated", row.scheme);
  return found;
}

const eval::ReferenceStates& StudyRows::reference() {
  if (!reference_) {
    reference_model_ = model::Model::load(inputs_.source, backend_.at(kernels::Precision::fp32));
    reference_ = std::make_unique<eval::ReferenceStates>(*reference_model_, inputs_.windows);
  }
  return *reference_;
}

const quant::CalibrationSet& StudyRows::calibration() {
  if (!calibration_) {
    const auto model = model::Model::load(inputs_.source, backend_.at(kernels::Precision::bf16));
    calibration_ = sample_calibration(*model, *inputs_.tokenizer, {.seed = options_.seed});
  }
  return *calibration_;
}

void StudyRows::run_reference() {
  report::StudyRow row = new_row("FP32", report::RowKind::reference);
  if (finished(row)) return void(++position_);
  base::info("FP32: the reference");
  const auto start = base::Clock::now();
  const eval::Perplexity& p = reference().perplexity();
  row.evaluate_seconds = base::seconds_since(start);
  take_quality(row, {p, std::nullopt});
  row.mean_kld = {0, 0, p.windows};
  row.p99_kld = 0;
  row.same_top1 = 1;
  row.bits_per_weight = row.bits_per_parameter = 32;
  row.file_bytes = 4.0 * static_cast<double>(checkpoint::inventory(*inputs_.source).parameters);
  row.memory = fp32_memory_ledger(*inputs_.source, inputs_.config);
  measure_tasks(*reference_model_, *inputs_.source, "fp32", row);
  measure_speed(*reference_model_, row);
  save(std::move(row));
}

void StudyRows::run_baseline() {
  report::StudyRow row = new_row("BF16", report::RowKind::baseline);
  if (finished(row)) return void(++position_);
  base::info("BF16: weights and activations rounded");
  const fs::path folder = options_.to / "checkpoints" / "BF16";
  fs::remove_all(folder);
  const quant::Report report =
      quant::convert(*inputs_.source, folder, "safetensors", &numeric::bf16, backend_.pool());
  take_quantization(row, report);
  row.method.clear();
  measure_candidate(folder, std::move(row));
}

void StudyRows::run_scheme(const std::string& words) {
  quant::QuantizeJob job{.recipe = study_recipe(words, options_)};
  report::StudyRow row = new_row(scheme_words(job.recipe), report::RowKind::candidate);
  if (finished(row)) return void(++position_);
  const numeric::Scheme& scheme = *job.recipe.scheme;
  base::info("{}: {}", row.scheme, scheme.note);
  row.method = options_.method;
  const fs::path folder = options_.to / "checkpoints" / report::row_name(row);
  for (const char* suffix : {"", ".partial"})
    fs::remove_all(folder.string() + suffix);  // an interrupted run's, without its row
  if (quant::needs_calibration(job.recipe)) job.calibration = &calibration();
  take_quantization(row,
                    quant::quantize(*inputs_.source, folder, job, backend_.at(kernels::Precision::bf16)));
  row.preset_group = scheme.weights.group;
  measure_candidate(folder, std::move(row));
}

void StudyRows::measure_candidate(const fs::path& folder, report::StudyRow row) {
  const eval::ReferenceStates& against = reference();
  const uint64_t held = base::ram_bytes();  // the reference; not this row's memory
  base::reset_peak_ram();
  backend_.kernels().memory().reset_peak();
  const std::shared_ptr<const checkpoint::Checkpoint> checkpoint =
      checkpoint::open_checkpoint(folder.string());
  const auto model = model::Model::load(checkpoint, backend_.at(kernels::Precision::bf16));
  row.memory = memory_ledger(*checkpoint, model->config(), model->backend().kv_format());
  const auto start = base::Clock::now();
  take_quality(row, eval::evaluate_text(*model, against));
  row.evaluate_seconds = base::seconds_since(start);
  if (!inputs_.tasks.empty()) measure_tasks(*model, *checkpoint, "bf16", row);
  measure_speed(*model, row);
  if (!backend_.on_gpu()) row.peak_ram_bytes = std::max(0.0, row.peak_ram_bytes - static_cast<double>(held));
  save(std::move(row));
}

void StudyRows::measure_tasks(model::Model& model, const checkpoint::Checkpoint& checkpoint,
                              const char* precision, report::StudyRow& row) {
  const TaskSubject subject = {
      &model, inputs_.tokenizer.get(), report::row_name(row), subject_sha256(checkpoint),
      fmt::format("{} {} {}", backend_.kernels().name, precision, model.cache_words())};
  eval::TaskOptions options = {.limit = options_.limit,
                               .stop_ids = runtime::stop_ids(*inputs_.source, inputs_.config)};
  if (options_.seed) options.seed = options_.seed;
  for (const eval::Task& task : inputs_.tasks)
    row.tasks.push_back(task_row(task_result(subject, task, options, task_store_.get())));
}

void StudyRows::measure_speed(model::Model& model, report::StudyRow& row) const {
  bench::Workload workload = options_.workload;
  workload.arithmetic = bench::arithmetic_of(numeric::split_scheme(row.scheme).scheme);
  bench::Peaks peaks = inputs_.peaks;
  peaks.read_gb_s = 0;  // measured over the model's own weights
  take_speed(row, bench::run_workload(model, workload, peaks));
}

void StudyRows::save(report::StudyRow row) {
  row.position = position_++;
  store_.save_row(row);
}

}  // namespace aquatint::api
