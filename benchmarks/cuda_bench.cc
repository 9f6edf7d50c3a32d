// What the CUDA kernels reach at the shapes of Llama-3-8B, as a share of the card's bandwidth and BF16 rate;
// and what the whole model would, from decoder blocks and a head of its shape, random weights, short
// contexts.
//   cuda_bench [--json FILE] [--bandwidth GB/s] [--rate TFLOP/s]
// Operands of the timed calls are larger than the L2 cache, or copies of them take turns.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "bench/block_rates.h"
#include "cases/linear_cases.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/sets.h"
#include "kernels/cuda/slots.h"
#include "kernels/kv_layout.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int64_t kHidden = 4096, kHeads = 32, kKvHeads = 8, kDim = 128, kWide = 14336, kVocabulary = 128256;
constexpr int64_t kCold = int64_t{256} << 20;  // bytes that copies of an operand fill at least

struct Row {
  std::string kernel, shape;
  double us, gb_per_s, tflops;  // per call
};

struct Peaks {
  double gb_per_s = 0, tflops = 0;
};

base::ThreadPool& pool() {
  static base::ThreadPool p(8);
  return p;
}

// Seconds of one call: call(i) for i = 0, 1, … in one stream, at least 40 ms of them.
double seconds(const std::function<void(int)>& call) {
  const auto run = [&](int count) {
    synchronize();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) call(i);
    synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  run(3);
  int count = 4;
  double taken = run(count);
  while (taken < 0.04 && count < 4096) taken = run(count *= 4);
  return taken / count;
}

// A whole model, tokens per second.
struct ModelRow {
  std::string scheme;
  double gigabytes, one, eight,
      prompts;  // read by a token; one sequence, eight of them; prompts of 512 tokens
};

class Bench {
 public:
  void add(const ModelRow& row) {
    models_.push_back(row);
    std::fprintf(stderr, "8B %-14s %7.2f GB %8.1f %8.1f %8.0f tok/s\n", row.scheme.c_str(), row.gigabytes,
                 row.one, row.eight, row.prompts);
  }
  void add(const std::string& kernel, const std::string& shape, double bytes, double operations,
           const std::function<void(int)>& call) {
    const double s = seconds(call);
    rows_.push_back({kernel, shape, s * 1e6, bytes / s * 1e-9, operations / s * 1e-12});
    const Row& r = rows_.back();
    std::fprintf(stderr, "%-24s %-34s %10.1f us %8.0f GB/s %7.1f TFLOP/s\n", r.kernel.c_str(),
                 r.shape.c_str(), r.us, r.gb_per_s, r.tflops);
  }

  void print(const Peaks& peaks) const {
    std::printf(
        "| kernel | shape | us | GB/s | of %.0f | TFLOP/s | of %.0f |\n|---|---|---|---|---|---|---|\n",
        peaks.gb_per_s, peaks.tflops);
    for (const Row& r : rows_)
      std::printf("| %s | %s | %.1f | %.0f | %.0f %% | %.1f | %.0f %% |\n", r.kernel.c_str(), r.shape.c_str(),
                  r.us, r.gb_per_s, 100 * r.gb_per_s / peaks.gb_per_s, r.tflops,
                  100 * r.tflops / peaks.tflops);
    std::printf(
        "\n| Llama-3-8B | GB a token | tok/s, 1 sequence | of the roofline | tok/s, 8 sequences | prompts, "
        "tok/s "
        "|\n|---|---|---|---|---|---|\n");
    for (const ModelRow& m : models_)
      std::printf("| %s | %.2f | %.1f | %.0f %% | %.1f | %.0f |\n", m.scheme.c_str(), m.gigabytes, m.one,
                  100 * m.one * m.gigabytes / peaks.gb_per_s, m.eight, m.prompts);
  }

  bool write_json(const char* path, const Peaks& peaks) const {
    std::FILE* f = std::fopen(path, "w");
    if (!f) return false;
    std::fprintf(f, "{\"device\": \"%s\", \"bandwidth_gb_s\": %.0f, \"rate_tflop_s\": %.0f, \"rows\": [",
                 device_name().c_str(), peaks.gb_per_s, peaks.tflops);
    for (size_t i = 0; i < rows_.size(); ++i)
      std::fprintf(
          f, "%s\n{\"kernel\": \"%s\", \"shape\": \"%s\", \"us\": %.2f, \"gb_s\": %.1f, \"tflop_s\": %.2f}",
          i ? "," : "", rows_[i].kernel.c_str(), rows_[i].shape.c_str(), rows_[i].us, rows_[i].gb_per_s,
          rows_[i].tflops);
    std::fprintf(f, "],\n\"models\": [");
    for (size_t i = 0; i < models_.size(); ++i)
      std::fprintf(f,
                   "%s\n{\"scheme\": \"%s\", \"gigabytes\": %.3f, \"decode_1\": %.2f, \"decode_8\": %.2f, "
                   "\"prompts\": %.1f}",
                   i ? "," : "", models_[i].scheme.c_str(), models_[i].gigabytes, models_[i].one,
                   models_[i].eight, models_[i].prompts);
    std::fprintf(f, "]}\n");
    return std::fclose(f) == 0;
  }

 private:
  std::vector<Row> rows_;
  std::vector<ModelRow> models_;
};

// `count` random numbers on the device, the same 2^20 again and again.
DeviceBuffer random_numbers(int64_t count) {
  static const std::vector<float> some = cases::random_floats(1 << 20, 1);
  DeviceBuffer buffer(static_cast<size_t>(count) * sizeof(float));
  for (int64_t at = 0; at < count; at += std::ssize(some))
    copy_to_device(buffer.data<float>() + at, some.data(),
                   static_cast<size_t>(std::min<int64_t>(std::ssize(some), count - at)) * sizeof(float));
  return buffer;
}

void bench_rows(Bench& bench) {
  for (const int64_t rows : {1, 64, 2048}) {
    const std::string shape = std::to_string(rows) + " rows";
    const int64_t widest = rows * 2 * kWide, copies = std::max<int64_t>(1, kCold / (widest * 4));
    const DeviceBuffer x = random_numbers(widest * copies), w = random_numbers(kHidden);
    DeviceBuffer y(static_cast<size_t>(rows * kWide) * 4);
    std::vector<int32_t> positions(static_cast<size_t>(rows), 4000);
    DeviceBuffer placed(positions.size() * 4);
    copy_to_device(placed.data(), positions.data(), positions.size() * 4);
    const DeviceBuffer frequencies = random_numbers(kDim / 2);
    const auto at = [&](int i) { return x.data<float>() + i % copies * widest; };
    const double numbers = static_cast<double>(rows) * 4;
    bench.add("rms_norm", shape + " of 4096", numbers * kHidden * 2, 0, [&](int i) {
      rms_norm(at(i), w.data<float>(), 1e-5f, rows, kHidden, y.data<float>(), pool());
    });
    bench.add("rope", shape + ", 40 heads", numbers * 40 * kDim * 2, 0, [&](int i) {
      rope(at(i), rows, 48 * kDim, 40, kDim, placed.data<int32_t>(), frequencies.data<float>(), 1, pool());
    });
    bench.add("swiglu", shape + " of 14336", numbers * kWide * 3, 0,
              [&](int i) { swiglu(at(i), rows, kWide, y.data<float>(), pool()); });
    const tensor::Rotation rotation(kWide, 1);
    bench.add("rotate_runs", shape + " of 14336", numbers * kWide * 2, 0,
              [&](int i) { rotate_runs(rotation, false, at(i), rows, kWide, 1, pool()); });
  }
  for (const int64_t rows : {1, 512}) {
    const DeviceBuffer logits = random_numbers(rows * kVocabulary);
    DeviceBuffer out(static_cast<size_t>(rows) * sizeof(LogitStats));
    bench.add("logit_stats", std::to_string(rows) + " rows of 128256",
              static_cast<double>(rows * kVocabulary) * 4, 0, [&](int) {
                logit_stats(logits.data<float>(), rows, kVocabulary, out.data<LogitStats>(), pool());
              });
  }
}

// Sequences of `context` positions with random contents in `layers` layers.
struct Caches {
  Caches(KvFormat format, int64_t sequences, int64_t context, int64_t layers)
      : layer_bytes(kKvHeads * kv_layout(format, kDim, context, kv_recent(format, 0)).head_bytes),
        memory(static_cast<size_t>(sequences * layers * layer_bytes)) {
    for (int64_t s = 0; s < sequences; ++s)
      spans.push_back({{memory.data() + s * layers * layer_bytes, format, context, kv_recent(format, 0)},
                       s,
                       1,
                       context - 1});
    const DeviceBuffer kv = random_numbers(context * 2 * kKvHeads * kDim);
    const float* k = kv.data<float>();
    const int64_t step = format == KvFormat::int4 ? kKvRows : context;
    DeviceBuffer placed(sizeof(AttentionSpan));
    for (AttentionSpan span : spans)
      for (int64_t layer = 0; layer < layers; ++layer)
        for (int64_t p = 0; p < context; p += step) {
          span.first_row = 0, span.rows = std::min(step, context - p), span.position = p;
          copy_to_device(placed.data(), &span, sizeof span);
          store_kv({{&span, 1}, placed.data<AttentionSpan>()}, shape(layer), k, k + kKvHeads * kDim,
                   2 * kKvHeads * kDim, pool());
        }
    device_spans = DeviceBuffer(spans.size() * sizeof(AttentionSpan));
    copy_to_device(device_spans.data(), spans.data(), spans.size() * sizeof(AttentionSpan));
  }
  static AttentionShape shape(int64_t layer) { return {kHeads, kKvHeads, kDim, 0, 0.088388f, layer}; }
  Spans all() const { return {spans, device_spans.data<AttentionSpan>()}; }

  int64_t layer_bytes;
  DeviceBuffer memory, device_spans;
  std::vector<AttentionSpan> spans;
};

void bench_attention(Bench& bench) {
  for (const KvFormat format : {KvFormat::bf16, KvFormat::fp8_e4m3, KvFormat::int8, KvFormat::int4})
    for (const auto& [sequences, context] :
         {std::pair<int64_t, int64_t>{1, 1024}, {1, 8192}, {16, 8192}, {64, 2048}}) {
      const int64_t layer = kKvHeads * kv_layout(format, kDim, context, 0).head_bytes * sequences;
      const int64_t layers = std::max<int64_t>(1, kCold / layer);
      const Caches caches(format, sequences, context, layers);
      const DeviceBuffer q = random_numbers(sequences * kHeads * kDim);
      DeviceBuffer out(static_cast<size_t>(sequences * kHeads * kDim) * 4);
      const double codes = format == KvFormat::bf16 ? 2 : format == KvFormat::int4 ? 0.5 : 1;
      const double numbers = static_cast<double>(sequences * context * kKvHeads * kDim);
      bench.add("attention decode " + std::string(name(format)),
                std::to_string(sequences) + " x " + std::to_string(context), numbers * 2 * codes,
                numbers * 4 * (kHeads / kKvHeads), [&](int i) {
                  attention(caches.all(), Caches::shape(i % layers), Precision::bf16, Phase::decode,
                            q.data<float>(), kHeads * kDim, out.data<float>(), pool());
                });
    }
  for (const KvFormat format : {KvFormat::bf16, KvFormat::fp8_e4m3, KvFormat::int8})
    for (const int64_t context : {2048, 8192}) {
      Caches caches(format, 1, context, 1);
      caches.spans[0].rows = context, caches.spans[0].position = 0;
      copy_to_device(caches.device_spans.data(), caches.spans.data(), sizeof(AttentionSpan));
      const DeviceBuffer q = random_numbers(context * kHeads * kDim);
      DeviceBuffer out(static_cast<size_t>(context * kHeads * kDim) * 4);
      bench.add("attention prefill " + std::string(name(format)), std::to_string(context) + " tokens", 0,
                2.0 * static_cast<double>(context * context) * kHeads * kDim, [&](int) {
                  attention(caches.all(), Caches::shape(0), Precision::bf16, Phase::prefill, q.data<float>(),
                            kHeads * kDim, out.data<float>(), pool());
                });
    }
  const Caches caches(KvFormat::fp8_e4m3, 64, 1024, 1);
  const DeviceBuffer kv = random_numbers(64 * 2 * kKvHeads * kDim);
  bench.add("store_kv fp8_e4m3", "64 x 1", 64.0 * 2 * kKvHeads * kDim * 5, 0, [&](int) {
    store_kv(caches.all(), Caches::shape(0), kv.data<float>(), kv.data<float>() + kKvHeads * kDim,
             2 * kKvHeads * kDim, pool());
  });
}

void bench_linears(Bench& bench) {
  using namespace numeric;
  const cases::WeightKind kinds[] = {
      {"bf16", &bf16},
      {"fp8 channel", &fp8_e4m3, 0, &fp32},
      {"fp8 dynamic", &fp8_e4m3, 0, &fp32, cases::WeightKind::none, {&fp8_e4m3, Granularity::token}},
      {"int8 channel", &int8, 0, &fp32},
      {"w4a16 g128", &int4, 128, &bf16},
      {"nf4", &nf4, -64, &fp32}};
  constexpr int64_t kOut = 14336;
  const DeviceBuffer x = random_numbers(2048 * kHidden);
  DeviceBuffer y(static_cast<size_t>(2048 * kOut) * 4);
  for (const cases::WeightKind& kind : kinds) {
    const tensor::QuantizedMatrix m = cases::random_matrix(kind, kOut, kHidden, 1);
    const tensor::QuantizedMatrix* part = &m;
    std::vector<std::unique_ptr<PackedMatrix>> packed;
    do packed.push_back(pack({&part, 1}, Precision::bf16, pool()));
    while (std::ssize(packed) * static_cast<int64_t>(packed[0]->bytes()) < kCold);
    for (const int64_t rows : {1, 4, 16, 64, 2048}) {
      const double numbers = static_cast<double>(rows) * (kHidden + kOut) * 4;
      bench.add("linear " + kind.name, std::to_string(rows) + " x 4096 -> 14336",
                static_cast<double>(packed[0]->bytes()) + numbers,
                2.0 * static_cast<double>(rows) * kHidden * kOut, [&](int i) {
                  linear(*packed[static_cast<size_t>(i) % packed.size()], x.data<float>(), rows,
                         rows > 64 ? Phase::prefill : Phase::decode, nullptr, false, y.data<float>(), kOut,
                         pool());
                });
    }
  }
}

void bench_models(Bench& results) {
  constexpr int64_t kLayers = 32;
  model::Config shape;
  shape.vocab_size = kVocabulary, shape.hidden_size = kHidden, shape.intermediate_size = kWide;
  shape.layers = kLayers, shape.heads = kHeads, shape.kv_heads = kKvHeads, shape.head_dim = kDim;
  std::vector<bench::BlockScheme> schemes = {{.name = "BF16", .weights = {}}};
  for (const char* name : {"FP8_DYNAMIC", "W8A8", "W8A16", "W4A16", "NF4"}) {
    const numeric::Scheme& scheme = *numeric::find_scheme(name);
    schemes.push_back({name, scheme.weights, scheme.input});
    if (std::strcmp(name, "W4A16") == 0) schemes.back().weights->group = 128;
  }
  const auto rates = bench::measure_blocks(shape, schemes, {.kernels = &kernel_set(), .pool = &pool()});
  const bench::BlockRate& head = rates.back();
  for (const bench::BlockRate& r : rates) {
    if (&r == &head) continue;
    const double bytes = (kLayers * r.weights * r.bits + head.weights * head.bits) / 8;
    results.add({r.scheme, bytes * 1e-9, 1 / (kLayers * r.row + head.row),
                 8 / (kLayers * r.eight_rows + head.eight_rows),
                 1 / (kLayers * r.prompt_row + head.prompt_row / bench::kRateRows)});
  }
}

int run(int argc, char** argv) {
  const char* json = nullptr;
  Peaks peaks;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--json")) json = argv[i + 1];
    if (!std::strcmp(argv[i], "--bandwidth")) peaks.gb_per_s = std::atof(argv[i + 1]);
    if (!std::strcmp(argv[i], "--rate")) peaks.tflops = std::atof(argv[i + 1]);
  }
  open();
  // NVIDIA's data sheets, SXM cards.
  if (peaks.gb_per_s == 0) peaks.gb_per_s = device_name().find("H200") != std::string::npos ? 4800 : 3350;
  if (peaks.tflops == 0) peaks.tflops = 989;
  Bench bench;
  bench_attention(bench);
  bench_linears(bench);
  bench_rows(bench);
  bench_models(bench);
  bench.print(peaks);
  if (json && !bench.write_json(json, peaks)) {
    std::fprintf(stderr, "cuda_bench: cannot write %s\n", json);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace aquatint::kernels::cuda

int main(int argc, char** argv) {
  try {
    return aquatint::kernels::cuda::run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cuda_bench: %s\n", e.what());
    return 2;
  }
}
