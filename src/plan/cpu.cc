#include "plan/cpu.h"

#include <algorithm>

#include "base/error.h"
#include "base/machine.h"
#include "bench/kernel_rates.h"
#include "bench/peaks.h"
#include "kernels/peaks.h"

namespace aquatint::plan {
namespace {

// Of the program itself, and of one step's activations: prompts are cut into pieces of so many tokens.
constexpr double kProgramBytes = 60e6, kStepTokens = 512;
constexpr int kRegions = 2000;

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

double region_seconds(base::ThreadPool& pool) {
  const auto start = base::Clock::now();
  for (int i = 0; i < kRegions; ++i) pool.run([](int) {});
  return base::seconds_since(start) / kRegions;
}

std::vector<std::string> schemes_of(const std::vector<Choice>& choices) {
  std::vector<std::string> names = {"BF16"};
  for (const Choice& choice : choices)
    if (choice.scheme) names.emplace_back(choice.scheme->name);
  return names;
}

// The caches of one form stand for all: their rates differ less than what else a step has.
void take_attention(const std::vector<bench::KernelRate>& rates, const Device& device, Efficiency& e) {
  const auto bf16 = std::ranges::find(rates, "attention bf16", &bench::KernelRate::kernel);
  AQ_CHECK(bf16 != rates.end());
  e.cache_bandwidth = bf16->decode_1_cache.value / device.bandwidth;
  e.attention = bf16->prefill_512.value / std::max(device.rate("bf16"), device.rate("fp32"));
}

void take_kernels(const std::vector<bench::KernelRate>& rates, Efficiency& e) {
  for (const bench::KernelRate& rate : rates)
    if (!rate.kernel.starts_with("attention"))
      e.kernels[rate.kernel] = {rate.bits, rate.decode_1.value, rate.decode_1_cache.value,
                                rate.decode_8.value, rate.prefill_512.value};
}

}  // namespace

MeasuredCpu measure_cpu(const kernels::KernelSet& set, base::ThreadPool& pool,
                        const std::vector<Choice>& choices) {
  const bench::Peaks peaks = bench::measure_peaks(pool);
  MeasuredCpu cpu{device_of(peaks), default_efficiency()};
  Efficiency& e = cpu.efficiency;
  const auto rates = bench::measure_kernels(set, pool, peaks, {.only = schemes_of(choices)});
  take_attention(rates, cpu.device, e);
  take_kernels(rates, e);
  e.last_level_cache = static_cast<double>(kernels::last_level_cache_bytes());
  e.region_seconds = region_seconds(pool);
  e.step_seconds = e.sequence_seconds = e.reserve = 0;
  e.fixed_bytes = kProgramBytes;
  e.step_tokens = kStepTokens;
  e.band = 0.15;
  e.source = "kernels and peaks measured on this machine, " + std::string(set.name);
  return cpu;
}

}  // namespace aquatint::plan
