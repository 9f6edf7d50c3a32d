#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "api/peaks.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/statistics.h"
#include "bench/int8_head.h"
#include "bench/kernel_rates.h"
#include "bench/workload.h"
#include "cli/command.h"
#include "cli/precision.h"
#include "report/table.h"

namespace aquatint::cli {
namespace {

struct BenchOptions {
  std::string model, precision = "bf16", kv_format = "auto", head = "as-is";
  bench::Workload workload;
  bool peaks_only = false;
};

std::string peaks_text(const bench::Peaks& peaks) {
  const std::string where =
      peaks.read_buffer_bytes == 0
          ? "by the maker's document"
          : "over " + report::format_bytes(static_cast<double>(peaks.read_buffer_bytes));
  std::string text = fmt::format("read bandwidth  {:.1f} GB/s {}\n", peaks.read_gb_s, where);
  for (const auto& [type, flop_s] : peaks.flop_s)
    text += fmt::format("{:<15} {:.0f} GFLOP/s\n", type, flop_s * 1e-9);
  return text;
}

// One sample has no deviation.
std::string rate(const std::vector<double>& samples) {
  if (samples.empty()) return "";
  const base::Summary summary = base::summarize(samples);
  return samples.size() == 1 ? fmt::format("{:.1f}", summary.mean)
                             : fmt::format("{:.1f} ± {:.1f}", summary.mean, summary.std);
}

std::string percent(double share) { return share == share ? fmt::format("{:.0f} %", share * 100) : ""; }

std::string result_text(const bench::BenchResult& r, const std::string& head) {
  std::vector<report::Column> columns = {
      {"batch"}, {"prefill tok/s"}, {"of peak FLOP/s"}, {"decode tok/s"}, {"of read bandwidth"}};
  const bool energy = std::ranges::any_of(r.runs, [](const bench::Run& run) {
    return std::isfinite(run.prefill_joules) || std::isfinite(run.decode_joules);
  });
  if (energy) columns.insert(columns.end(), {{"J/prompt token"}, {"J/generated token"}});
  report::Table table(columns);
  for (const bench::Run& run : r.runs) {
    std::vector<std::string> cells = {fmt::format("{}", run.batch), rate(run.prefill),
                                      percent(run.flop_utilization), rate(run.decode),
                                      percent(run.bandwidth_utilization)};
    if (energy)
      for (const double joules : {run.prefill_joules, run.decode_joules})
        cells.push_back(std::isfinite(joules) ? report::format_significant(joules, 3) : "");
    table.add(cells);
  }
  return table.text() +
         fmt::format("\nkernels {}, KV cache {}, head {}, weights {}, peak memory {}{}\n", r.kernels,
                     r.kv_format, head, report::format_bytes(static_cast<double>(r.weight_bytes)),
                     report::format_bytes(static_cast<double>(r.peak_device_bytes > 0 ? r.peak_device_bytes
                                                                                      : r.peak_ram_bytes)),
                     r.peak_device_bytes > 0 ? " of the GPU" : "");
}

// How long Model::load took, and how fast that went through the file's tensors.
struct Load {
  double seconds = 0, gb_s = 0;
};

std::unique_ptr<model::Model> timed_load(const std::shared_ptr<const checkpoint::Checkpoint>& checkpoint,
                                         const model::Backend& backend, Load& load) {
  const auto start = base::Clock::now();
  auto model = model::Model::load(checkpoint, backend);
  load.seconds = base::seconds_since(start);
  uint64_t bytes = 0;
  for (const checkpoint::StoredTensor& tensor : checkpoint->tensors()) bytes += tensor.bytes;
  load.gb_s = static_cast<double>(bytes) * 1e-9 / load.seconds;
  return model;
}

std::string rates_text(const std::vector<bench::KernelRate>& rates) {
  std::vector<report::Column> columns = {{"kernel", report::Align::left}, {"bits"}};
  for (const bench::RateColumn& column : bench::kRateColumns) {
    columns.push_back({column.title});
    columns.push_back({"of peak"});
  }
  report::Table table(std::move(columns));
  for (const bench::KernelRate& rate : rates) {
    std::vector<std::string> cells = {rate.kernel, fmt::format("{:.2f}", rate.bits)};
    for (const bench::RateColumn& column : bench::kRateColumns) {
      const auto& [per_second, share] = rate.*column.rate;
      cells.push_back(per_second == per_second ? fmt::format("{:.1f}", per_second * 1e-9) : "");
      cells.push_back(percent(share));
    }
    table.add(std::move(cells));
  }
  return table.text();
}

void run_peaks(const api::Backend& backend, kernels::Precision precision, bool json) {
  const bench::Peaks peaks = bench::measure_peaks(backend.pool());
  const auto rates =
      bench::measure_kernels(backend.kernels(), backend.pool(), peaks, {.precision = precision});
  if (json)
    return print_json({{"peaks", bench::to_json(peaks)},
                       {"kernels", backend.kernels().name},
                       {"kernel_rates", bench::to_json(rates)}});
  print_result(
      fmt::format("{}\nkernels {}\n{}", peaks_text(peaks), backend.kernels().name, rates_text(rates)));
}

void run_bench(const BenchOptions& o, const Common& common) {
  const api::Backend backend(common.backend);
  const kernels::Precision precision = parse_precision(o.precision);
  if (o.peaks_only && backend.on_gpu())
    throw base::BadUsage("bench --peaks measures the CPU; leave --device cuda out");
  if (o.peaks_only) return run_peaks(backend, precision, common.json);
  if (o.model.empty()) throw base::BadUsage("bench needs a MODEL, or --peaks");
  bench::Peaks peaks = api::peaks(backend);
  if (!backend.on_gpu()) peaks.read_gb_s = 0;  // the workload measures it over the model's own weights
  base::reset_peak_ram();
  std::shared_ptr<const checkpoint::Checkpoint> checkpoint = checkpoint::open_checkpoint(o.model);
  if (o.head == "int8") checkpoint = bench::with_int8_head(checkpoint, backend.pool());
  Load load;
  const auto model = timed_load(checkpoint, backend.at(precision, parse_kv_format(o.kv_format)), load);
  bench::Workload workload = o.workload;
  workload.arithmetic = bench::arithmetic_of(checkpoint->scheme());
  const bench::BenchResult result = bench::run_workload(*model, workload, peaks);
  if (!common.json)
    return print_result(fmt::format("{}\n{}load            {:.2f} s, {:.1f} GB/s of the file\n",
                                    peaks_text(result.peaks), result_text(result, o.head), load.seconds,
                                    load.gb_s));
  base::Json json = bench::to_json(result);
  json["head"] = o.head;
  json["load_seconds"] = load.seconds;
  json["load_gb_per_second"] = load.gb_s;
  print_json(json);
}

}  // namespace

std::function<void()> add_bench(CLI::App& app, Common& common) {
  auto o = std::make_shared<BenchOptions>();
  app.add_option("MODEL", o->model, "a folder, a .gguf file, or a fetched hub id");
  add_backend_options(app, common);
  add_seed(app, common);
  add_precision(app, o->precision);
  add_kv_format(app, o->kv_format);
  option(app, "--prompt-tokens", o->workload.prompt_tokens, "prompt length; 0: no prefill")
      ->check(CLI::NonNegativeNumber);
  option(app, "--generate-tokens", o->workload.generate_tokens, "tokens to decode; 0: no decode")
      ->check(CLI::NonNegativeNumber);
  option(app, "--depth", o->workload.depth, "tokens in the context before the timed ones")
      ->check(CLI::NonNegativeNumber);
  option(app, "--batch", o->workload.batches, "sequences together, separated by commas")->delimiter(',');
  option(app, "--repeat", o->workload.repeats, "counted repeats after one warm-up")
      ->check(CLI::PositiveNumber);
  option(app, "--head", o->head, "output head: as-is, or int8 as GGUF files hold it")
      ->check(CLI::IsMember({"as-is", "int8"}));
  app.add_flag("--peaks", o->peaks_only, "the machine's peaks and each kernel's share of them");
  return [o, &common] {
    o->workload.seed = common.seed;
    run_bench(*o, common);
  };
}

}  // namespace aquatint::cli
