#include "plan/cpu.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/machine.h"
#include "bench/block_rates.h"
#include "bench/kernel_rates.h"
#include "bench/peaks.h"

namespace aquatint::plan {
namespace {

// Of the program itself, and of one step's activations: prompts are cut into pieces of so many tokens.
constexpr double kProgramBytes = 60e6, kStepTokens = 512;

Device device_of(const bench::Peaks& peaks) {
  Device d;
  d.name = "cpu";
  d.title = base::cpu_name();
  d.architecture = "x86-64";
  d.memory_bytes = static_cast<double>(base::total_ram_bytes());
  d.bandwidth = peaks.read_gb_s * 1e9;
  d.link = "none";
  d.most = 1;
  for (const bench::TypePeak& peak : peaks.flop_s) d.rates[peak.type] = peak.flop_s;
  d.source = "measured " + base::utc_date();
  return d;
}

// What the linears of `shape` become: BF16, and each scheme of the choices once.
std::vector<bench::BlockScheme> schemes_of(const Shape& shape, const std::vector<Choice>& choices) {
  std::vector<bench::BlockScheme> schemes = {{.name = "BF16", .weights = {}}};
  for (const Choice& choice : choices)
    if (choice.scheme &&
        std::ranges::find(schemes, choice.scheme->name, &bench::BlockScheme::name) == schemes.end())
      schemes.push_back(
          {std::string(choice.scheme->name), fitted_weights(shape, choice), choice.scheme->input});
  return schemes;
}

// A dense block of the same widths: what passes of experts counts as one MLP, of at least this many columns.
constexpr int64_t kColumns = 64;

model::Config block_of(const Shape& shape) {
  double mlp = 0;
  for (const Matrices& m : shape.matrices)
    if (m.part == Part::mlp || m.part == Part::expert) mlp += m.passed_weights();
  const double width = mlp / (3.0 * static_cast<double>(shape.hidden * shape.layers));
  model::Config c;
  c.vocab_size = shape.vocabulary;
  c.hidden_size = shape.hidden;
  c.intermediate_size = std::max<int64_t>(1, std::llround(width / kColumns)) * kColumns;
  c.layers = shape.layers;
  c.heads = shape.heads;
  c.kv_heads = shape.kv_heads;
  c.head_dim = shape.head_dim;
  return c;
}

KernelSpeeds speeds_of(const std::vector<bench::BlockRate>& rates) {
  KernelSpeeds speeds;
  for (const bench::BlockRate& rate : rates) {
    const double bytes = rate.weights * rate.bits / 8;
    speeds[rate.scheme] = {.bits = rate.bits,
                           .one_row = bytes / rate.row,
                           .eight_rows = bytes / rate.eight_rows,
                           .prompt = 2 * rate.weights / rate.prompt_row};
  }
  return speeds;
}

// The caches of one form stand for all: their rates differ less than what else a step has.
void take_attention(const bench::KernelRate& bf16, const Device& device, Efficiency& e) {
  e.cache_bandwidth = bf16.decode_1_cache.value / device.bandwidth;
  e.attention = bf16.prefill_512.value / std::max(device.rate("bf16"), device.rate("fp32"));
}

}  // namespace

MeasuredCpu measure_cpu(const kernels::KernelSet& set, base::ThreadPool& pool,
                        const std::vector<Shape>& shapes, const std::vector<Choice>& choices) {
  const bench::Peaks peaks = bench::measure_peaks(pool);
  MeasuredCpu cpu{device_of(peaks), default_efficiency()};
  Efficiency& e = cpu.efficiency;
  take_attention(bench::measure_attention(set, pool, peaks, kernels::KvFormat::bf16), cpu.device, e);
  for (const Shape& shape : shapes)
    e.kernels[shape.name] = speeds_of(
        bench::measure_blocks(block_of(shape), schemes_of(shape, choices), {.kernels = &set, .pool = &pool}));
  e.step_seconds = e.sequence_seconds = e.reserve = 0;
  e.fixed_bytes = kProgramBytes;
  e.step_tokens = kStepTokens;
  e.band = 0.15;
  e.source = "peaks and blocks of this shape measured on this machine, " + std::string(set.name);
  return cpu;
}

}  // namespace aquatint::plan
