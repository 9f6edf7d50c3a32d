#include "bench/kernel_rates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "base/machine.h"
#include "base/statistics.h"
#include "bench/random_values.h"
#include "kernels/arena.h"
#include "kernels/kv_layout.h"
#include "kernels/peaks.h"
#include "quant/method.h"

namespace aquatint::bench {
namespace {

using kernels::Phase;

constexpr int64_t kPrompt = 512, kContext = 4096;
constexpr int64_t kHeads = 32, kKvHeads = 8, kHeadDim = 64;
constexpr int kRepeats = 5;
constexpr double kPatience = 0.5;  // seconds: what takes longer is run once
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Reads more than the last-level cache holds, so that what was in it is gone.
class Evictor {
 public:
  Evictor(base::ThreadPool& pool, uint64_t bytes)
      : pool_(pool),
        words_((bytes > 0 ? bytes
                          : std::min(2 * kernels::last_level_cache_bytes(), base::total_ram_bytes() / 8)) /
                   8,
               1) {}
  void operator()() {
    pool_.parallel_for(static_cast<int64_t>(words_.size()), 512, [&](int64_t begin, int64_t end) {
      uint64_t sum = 0;
      for (int64_t i = begin; i < end; ++i) sum += words_[static_cast<size_t>(i)];
      words_[static_cast<size_t>(begin)] = sum;
    });
  }

 private:
  base::ThreadPool& pool_;
  std::vector<uint64_t> words_;
};

double median_seconds(const std::function<void()>& before, const std::function<void()>& body) {
  std::vector<double> seconds;
  for (int i = 0; i <= kRepeats; ++i) {
    before();
    const auto start = base::Clock::now();
    body();
    const double taken = base::seconds_since(start);
    if (taken > kPatience) return taken;
    if (i > 0) seconds.push_back(taken);  // the first one settles threads and clock
  }
  return base::summarize(seconds).median;
}

double peak_of(const Peaks& peaks, const std::string& type) {
  for (const TypePeak& peak : peaks.flop_s)
    if (peak.type == type) return peak.flop_s;
  return kNaN;
}

class Bench {
 public:
  Bench(const kernels::KernelSet& set, base::ThreadPool& pool, const Peaks& peaks, const RateWork& work)
      : set_(set),
        pool_(pool),
        peaks_(peaks),
        precision_(work.precision),
        evict_(pool, work.evict_bytes),
        x_(random_values(kPrompt * std::max(work.cols, kHeads * kHeadDim), 1)),
        y_(static_cast<size_t>(kPrompt * std::max(work.rows, kHeads * kHeadDim))) {}

  KernelRate linear(const std::string& name, const tensor::QuantizedMatrix& m) {
    const tensor::QuantizedMatrix* part = &m;
    const auto w = set_.pack({&part, 1}, precision_, pool_);
    const auto bytes = static_cast<double>(w->bytes());
    const auto seconds = [&](int64_t rows, Phase phase, const std::function<void()>& before) {
      return median_seconds(
          before, [&] { set_.linear(*w, x_.data(), rows, phase, nullptr, false, y_.data(), m.rows, pool_); });
    };
    const auto evict = [this] { evict_(); };
    const auto keep = [] {};
    KernelRate rate{name, 8 * bytes / static_cast<double>(m.rows * m.cols), {}, {}, {}, {}};
    const double memory = peaks_.read_gb_s * 1e9;
    rate.decode_1 = of(bytes / seconds(1, Phase::decode, evict), memory);
    rate.decode_8 = of(bytes / seconds(8, Phase::decode, evict), memory);
    rate.decode_1_cache = of(bytes / seconds(1, Phase::decode, keep), read_peak(w->bytes()));
    const double flop = 2.0 * static_cast<double>(m.rows * m.cols * kPrompt);
    rate.prefill_512 = of(flop / seconds(kPrompt, Phase::prefill, keep), peak_of(peaks_, arithmetic(m)));
    return rate;
  }

  // 32 heads of 64 over 8 of keys and values: a prompt of 512 tokens, one token after 4096.
  KernelRate attention(kernels::KvFormat format) {
    const kernels::AttentionShape shape{kHeads, kKvHeads, kHeadDim, 0, 0.125f};
    const int64_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
    const int64_t recent = kernels::kv_recent(format, 0);
    const auto bytes = static_cast<uint64_t>(
        shape.kv_heads * kernels::kv_layout(format, kHeadDim, kContext, recent).head_bytes);
    const std::shared_ptr<std::byte> cache = kernels::arena_allocate(bytes);
    const auto span = [&](int64_t position, int64_t rows) {
      return kernels::AttentionSpan{{cache.get(), format, kContext, recent}, 0, rows, position};
    };
    const std::vector<float> kv = random_values(kernels::kKvRows * kv_width, 1);
    for (int64_t p = 0; p < kContext; p += kernels::kKvRows) {
      const kernels::AttentionSpan s = span(p, kernels::kKvRows);
      set_.store_kv({{&s, 1}}, shape, kv.data(), kv.data(), kv_width, pool_);
    }
    const auto seconds = [&](const kernels::AttentionSpan& s, Phase phase) {
      return median_seconds([] {},
                            [&] {
                              set_.attention({{&s, 1}}, shape, kernels::Precision::bf16, phase, x_.data(),
                                             width, y_.data(), pool_);
                            });
    };
    KernelRate rate{
        fmt::format("attention {}", kernels::name(format)), 0, {kNaN, kNaN}, {}, {kNaN, kNaN}, {}};
    rate.bits = 4 * static_cast<double>(bytes) / static_cast<double>(kContext * kv_width);
    rate.decode_1_cache =
        of(static_cast<double>(bytes) / seconds(span(kContext - 1, 1), Phase::decode), read_peak(bytes));
    const double flop = 4.0 * static_cast<double>(width) * 0.5 * static_cast<double>(kPrompt * (kPrompt + 1));
    rate.prefill_512 = of(flop / seconds(span(0, kPrompt), Phase::prefill), peak_of(peaks_, "bf16"));
    return rate;
  }

 private:
  // What the products are at best made of.
  const char* arithmetic(const tensor::QuantizedMatrix& m) const {
    if (precision_ == kernels::Precision::fp32) return "fp32";
    const bool fast = precision_ == kernels::Precision::int8 && m.format->kind == numeric::Kind::integer;
    return fast || (m.input.format && m.input.format->kind == numeric::Kind::integer) ? "int8" : "bf16";
  }

  static Rate of(double value, double peak) { return {value, value / peak}; }

  // Bytes/s of plain reads over about as many bytes, again and again.
  double read_peak(uint64_t bytes) {
    const uint64_t size = uint64_t{1} << std::lround(std::log2(static_cast<double>(bytes)));
    double& peak = read_peaks_[size];
    if (peak == 0) peak = 1e9 * kernels::measure_read_gb_s(pool_, size);
    return peak;
  }

  const kernels::KernelSet& set_;
  base::ThreadPool& pool_;
  const Peaks& peaks_;
  kernels::Precision precision_;
  Evictor evict_;
  std::map<uint64_t, double> read_peaks_;
  std::vector<float> x_, y_;
};

}  // namespace

std::vector<KernelRate> measure_kernels(const kernels::KernelSet& set, base::ThreadPool& pool,
                                        const Peaks& peaks, const RateWork& work) {
  Bench bench(set, pool, peaks, work);
  const std::vector<float> values =
      random_values(work.rows * work.cols, 1 / std::sqrt(static_cast<double>(work.cols)));
  std::vector<KernelRate> rates = {bench.linear("BF16", tensor::plain_matrix(values, work.rows, work.cols))};
  const auto add = [&](const std::string& name, const numeric::Scheme& scheme) {
    tensor::QuantizedMatrix m = quant::rtn.quantize(values, work.rows, work.cols, scheme.weights, {}, pool);
    m.input = scheme.input;
    if (m.input.needs_calibration()) m.input.static_scale = 1;  // any, for its speed
    rates.push_back(bench.linear(name, m));
  };
  for (const numeric::Scheme& scheme : numeric::schemes()) add(std::string(scheme.name), scheme);
  numeric::Scheme fine = *numeric::find_scheme("W4A16");
  fine.weights.group = 32;
  add("W4A16 g32", fine);
  for (const auto format : {kernels::KvFormat::bf16, kernels::KvFormat::fp8_e4m3, kernels::KvFormat::int8,
                            kernels::KvFormat::int4})
    rates.push_back(bench.attention(format));
  return rates;
}

KernelRate measure_attention(const kernels::KernelSet& set, base::ThreadPool& pool, const Peaks& peaks,
                             kernels::KvFormat format) {
  return Bench(set, pool, peaks, {}).attention(format);
}

base::Json to_json(const std::vector<KernelRate>& rates) {
  base::Json list = base::Json::array();
  for (const KernelRate& rate : rates) {
    base::Json row = {{"kernel", rate.kernel}, {"bits", rate.bits}};
    for (const RateColumn& column : kRateColumns) {
      const Rate& r = rate.*column.rate;
      if (std::isfinite(r.value)) row[column.key] = {{"per_second", r.value}, {"share", r.share}};
    }
    list.push_back(std::move(row));
  }
  return list;
}

}  // namespace aquatint::bench
