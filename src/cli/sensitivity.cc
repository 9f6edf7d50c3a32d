#include <fmt/format.h>

#include <cmath>

#include "api/self_calibration.h"
#include "base/error.h"
#include "base/file.h"
#include "base/machine.h"
#include "bench/kernel_rates.h"
#include "cli/command.h"
#include "cli/sensitivity_text.h"
#include "eval/windows.h"
#include "quant/mixture.h"
#include "report/table.h"
#include "runtime/text_io.h"

namespace aquatint::cli {
namespace {

struct SensitivityOptions {
  std::string model, text, to;
  std::vector<std::string> schemes = {"W8A16", "W4A16"};
  eval::WindowOptions windows{.context = 256, .windows = 2};
  double bits = 0, bytes = 0, milliseconds = 0;
};

using Sequences = std::vector<std::vector<int32_t>>;

Sequences read_sequences(const SensitivityOptions& o,
                         const std::shared_ptr<const checkpoint::Checkpoint>& checkpoint,
                         const api::Backend& backend, uint64_t seed) {
  const auto tokenizer = runtime::load_tokenizer(*checkpoint);
  if (o.text.empty()) {
    const auto model = model::Model::load(checkpoint, backend.at(kernels::Precision::bf16));
    return api::sample_calibration(*model, *tokenizer, {o.windows.windows, o.windows.context, seed})
        .sequences;
  }
  const eval::Windows windows(*tokenizer, base::read_text(o.text), o.windows, o.text);
  Sequences sequences;
  for (int64_t i = 0; i < windows.count(); ++i) sequences.push_back(windows.window(i));
  return sequences;
}

std::vector<const numeric::Scheme*> parse_schemes(const std::vector<std::string>& names) {
  std::vector<const numeric::Scheme*> schemes;
  for (const std::string& name : names) {
    const numeric::Scheme* scheme = numeric::find_scheme(name);
    if (!scheme)
      throw base::BadUsage(fmt::format("--schemes {}: unknown scheme; `aquatint formats` lists them", name));
    schemes.push_back(scheme);
  }
  return schemes;
}

std::optional<quant::Budget> parse_budget(const SensitivityOptions& o) {
  if ((o.bits > 0) + (o.bytes > 0) + (o.milliseconds > 0) > 1)
    throw base::BadUsage("give one of --budget, --budget-bytes and --budget-ms");
  using Unit = quant::Budget::Unit;
  if (o.bits > 0) return quant::Budget{Unit::bits_per_weight, o.bits};
  if (o.bytes > 0) return quant::Budget{Unit::bytes, o.bytes};
  if (o.milliseconds > 0) return quant::Budget{Unit::seconds, o.milliseconds * 1e-3};
  if (!o.to.empty()) throw base::BadUsage("--to writes the recipe that a budget chooses: add --budget BITS");
  return std::nullopt;
}

// Seconds of a generated token by this machine's measured rate for the scheme's kernel.
class DecodeTime {
 public:
  explicit DecodeTime(const api::Backend& backend)
      : rates_(bench::measure_kernels(backend.at(kernels::Precision::bf16).host_kernels(), backend.pool(),
                                      bench::measure_peaks(backend.pool()))) {}

  double operator()(double bytes, const numeric::Scheme* scheme) const {
    const std::string_view name = scheme ? scheme->name : "BF16";
    for (const bench::KernelRate& rate : rates_)
      if (rate.kernel == name) return bytes / rate.decode_1.value;
    throw base::BadUsage(fmt::format("no measured rate of {} for --budget-ms", name));
  }

 private:
  std::vector<bench::KernelRate> rates_;
};

quant::Mixture find_mixture(const quant::Sensitivity& found, const quant::Budget& budget,
                            const api::Backend& backend) {
  if (budget.unit != quant::Budget::Unit::seconds) return quant::find_mixture(found, budget);
  return quant::find_mixture(found, budget, DecodeTime(backend));
}

void run_sensitivity(const SensitivityOptions& o, const Common& common) {
  const std::optional<quant::Budget> budget = parse_budget(o);
  quant::SensitivityJob job{
      .schemes = parse_schemes(o.schemes), .sequences = {}, .memory = base::total_ram_bytes() / 2};
  const api::Backend backend(common.backend);
  const std::shared_ptr<const checkpoint::Checkpoint> checkpoint = checkpoint::open_checkpoint(o.model);
  const Sequences sequences = read_sequences(o, checkpoint, backend, common.seed);
  job.sequences = sequences;
  const model::Backend exact = backend.at(kernels::Precision::fp32);
  const quant::Sensitivity found = quant::measure_sensitivity(*checkpoint, job, exact);
  std::optional<quant::Mixture> mixture;
  double kld = 0;
  if (budget) {
    mixture = find_mixture(found, *budget, backend);
    kld = quant::measure_mixture(*checkpoint, mixture->chosen, job, exact);
    if (!o.to.empty()) base::write_text(o.to, mixture->recipe);
  }
  if (common.json) return print_json(sensitivity_json(found, mixture ? &*mixture : nullptr, kld));
  print_result(sensitivity_text(found));
  if (mixture) print_result(mixture_text(*mixture, kld, o.to));
}

}  // namespace

std::function<void()> add_sensitivity(CLI::App& app, Common& common) {
  auto o = std::make_shared<SensitivityOptions>();
  add_model(app, o->model);
  add_backend_options(app, common);
  option(app, "--schemes", o->schemes, "schemes to try, separated by commas")->delimiter(',');
  option(app, "--text", o->text,
         "text whose next-token distributions are compared; without it the model's own samples");
  option(app, "--context", o->windows.context, "tokens of a window")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20));
  option(app, "--windows", o->windows.windows, "windows of the text")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  option(app, "--budget", o->bits, "choose a scheme for each fused set: average bits of a linear's weight")
      ->check(CLI::PositiveNumber);
  option(app, "--budget-bytes", o->bytes, "the same for the bytes of all linears")
      ->check(CLI::PositiveNumber);
  option(app, "--budget-ms", o->milliseconds,
         "the same for a generated token's time in the linears, by measured rates")
      ->check(CLI::PositiveNumber);
  option(app, "--to", o->to, "file for the recipe that the budget chooses");
  add_seed(app, common);
  return [o, &common] { run_sensitivity(*o, common); };
}

}  // namespace aquatint::cli
