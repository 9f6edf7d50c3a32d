// What the CUDA kernels reach at the shapes of Llama-3-8B, as a share of the card's bandwidth and BF16 rate;
// what the whole model would, from decoder blocks and a head of its shape, random weights, short contexts;
// and batches of Llama-2-70B in the same way, whose weights need not fit on the card.
//   cuda_bench [--json FILE] [--bandwidth GB/s] [--rate TFLOP/s]
// Made for less than 240 seconds (tools/gpu_check.sh), of which 70B takes about 60; what is there before 70B
// is written before it. Operands of the timed calls are larger than the L2 cache, or copies of them take
// turns.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "bench/block_rates.h"
#include "cases/linear_cases.h"
#include "cuda_results.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/sets.h"
#include "kernels/cuda/slots.h"
#include "kernels/kv_layout.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int64_t kHidden = 4096, kHeads = 32, kKvHeads = 8, kDim = 128, kWide = 14336, kVocabulary = 128256;
constexpr int64_t kCold = int64_t{256} << 20;  // bytes that copies of an operand fill at least

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

// Results, of kernels as they are timed.
class Bench : public Results {
 public:
  using Results::add;
  void add(const std::string& kernel, const std::string& shape, double bytes, double operations,
           const std::function<void(int)>& call) {
    const double s = seconds(call);
    add(KernelRow{kernel, shape, s * 1e6, bytes / s * 1e-9, operations / s * 1e-12});
  }
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
  Caches(KvFormat format, int64_t sequences, int64_t context, int64_t layers, bool in_pages = false) {
    place(format, sequences, context, layers, in_pages);
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
  // Pages that follow each other in a sequence lie far apart.
  void place(KvFormat format, int64_t sequences, int64_t context, int64_t layers, bool in_pages) {
    const auto bytes = [&](int64_t positions, int64_t recent) {
      return layers * kKvHeads * kv_layout(format, kDim, positions, recent).head_bytes;
    };
    const int64_t recent = kv_recent(format, 0), whole = bytes(in_pages ? 0 : context, recent),
                  page = bytes(kKvPage, 0), pages = in_pages ? (context + kKvPage - 1) / kKvPage : 0;
    memory = DeviceBuffer(static_cast<size_t>(sequences * (whole + pages * page)));
    std::vector<std::byte*> addresses;
    for (int64_t s = 0; s < sequences; ++s)
      for (int64_t p = 0; p < pages; ++p)
        addresses.push_back(memory.data() + sequences * whole + (p * sequences + s) * page);
    table = DeviceBuffer(addresses.size() * sizeof(std::byte*));
    if (in_pages) copy_to_device(table.data(), addresses.data(), table.size());
    for (int64_t s = 0; s < sequences; ++s)
      spans.push_back({{memory.data() + s * whole, format, context, recent,
                        in_pages ? table.data<std::byte*>() + s * pages : nullptr},
                       s,
                       1,
                       context - 1});
  }
  static AttentionShape shape(int64_t layer) { return {kHeads, kKvHeads, kDim, 0, 0.088388f, layer}; }
  Spans all() const { return {spans, device_spans.data<AttentionSpan>()}; }

  DeviceBuffer memory, table, device_spans;
  std::vector<AttentionSpan> spans;
};

void bench_attention(Bench& bench) {
  struct Batch {
    int64_t sequences, context;
    bool in_pages;
  };
  for (const KvFormat format : {KvFormat::bf16, KvFormat::fp8_e4m3, KvFormat::int8, KvFormat::int4})
    for (const auto& [sequences, context, in_pages] : {Batch{1, 1024, false},
                                                       {1, 8192, false},
                                                       {16, 8192, false},
                                                       {16, 8192, true},
                                                       {64, 2048, false},
                                                       {64, 2048, true}}) {
      const int64_t layer = kKvHeads * kv_layout(format, kDim, context, 0).head_bytes * sequences;
      const int64_t layers = std::max<int64_t>(1, kCold / layer);
      const Caches caches(format, sequences, context, layers, in_pages);
      const DeviceBuffer q = random_numbers(sequences * kHeads * kDim);
      DeviceBuffer out(static_cast<size_t>(sequences * kHeads * kDim) * 4);
      const double codes = format == KvFormat::bf16 ? 2 : format == KvFormat::int4 ? 0.5 : 1;
      const double numbers = static_cast<double>(sequences * context * kKvHeads * kDim);
      bench.add("attention decode " + std::string(name(format)),
                std::to_string(sequences) + " x " + std::to_string(context) + (in_pages ? ", pages" : ""),
                numbers * 2 * codes, numbers * 4 * (kHeads / kKvHeads), [&](int i) {
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
  constexpr int64_t kAll = (kHeads + 2 * kKvHeads) * kDim;
  const DeviceBuffer kv = random_numbers(64 * kAll), frequencies = random_numbers(kDim / 2);
  bench.add("store_kv fp8_e4m3", "64 x 1", 64.0 * 2 * kKvHeads * kDim * 5, 0, [&](int) {
    store_kv(caches.all(), Caches::shape(0), kv.data<float>(), kv.data<float>() + kKvHeads * kDim,
             2 * kKvHeads * kDim, pool());
  });
  bench.add("rope_store_kv fp8_e4m3", "64 x 1", 64.0 * ((kHeads + kKvHeads) * 8 + 2 * kKvHeads * 5) * kDim, 0,
            [&](int) {
              rope_store_kv(caches.all(), Caches::shape(0), frequencies.data<float>(), 1, kv.data<float>(),
                            kAll, pool());
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

bench::BlockScheme block_scheme(const char* name, std::optional<KvFormat> kv = {}) {
  const numeric::Scheme& scheme = *numeric::find_scheme(name);
  return {name, scheme.weights, scheme.input, kv};
}

void bench_models(Bench& results) {
  constexpr int64_t kLayers = 32;
  model::Config shape;
  shape.vocab_size = kVocabulary, shape.hidden_size = kHidden, shape.intermediate_size = kWide;
  shape.layers = kLayers, shape.heads = kHeads, shape.kv_heads = kKvHeads, shape.head_dim = kDim;
  std::vector<bench::BlockScheme> schemes = {{.name = "BF16", .weights = {}}};
  for (const char* name : {"FP8_DYNAMIC", "W8A8", "W8A16", "W4A16", "NF4"}) {
    schemes.push_back(block_scheme(name));
    if (std::strcmp(name, "W4A16") == 0) schemes.back().weights->group = 128;
  }
  const auto rates = bench::measure_blocks(shape, schemes, {.kernels = &kernel_set(), .pool = &pool()},
                                           {.sequences = {1}, .prompt = 2048});
  const bench::BlockRate& head = rates.back();
  for (const bench::BlockRate& r : rates) {
    if (&r == &head) continue;
    const double bytes = (kLayers * r.weights * r.bits + head.weights * head.bits) / 8;
    results.add(ModelRow{r.scheme, bytes * 1e-9, 1 / (kLayers * r.row + head.row),
                         8 / (kLayers * r.eight_rows + head.eight_rows),
                         1 / (kLayers * r.prompt_row + head.prompt_row / bench::kRateRows),
                         2048 / (kLayers * r.batches[0].prompts + head.batches[0].prompts)});
  }
}

// Prompts of 512 tokens, 128 tokens of output: contexts up to 640, in the middle 576.
void bench_batches(Bench& results) {
  model::Config shape;
  shape.vocab_size = 32000, shape.hidden_size = 8192, shape.intermediate_size = 28672;
  shape.layers = 80, shape.heads = 64, shape.kv_heads = 8, shape.head_dim = 128;
  const std::vector<bench::BlockScheme> schemes = {{.name = "BF16", .weights = {}},
                                                   block_scheme("W8A16"),
                                                   block_scheme("FP8_DYNAMIC", KvFormat::fp8_e4m3)};
  const bench::Batches batches{.sequences = {1, 8, 16, 32, 64}, .prompt = 512, .context = 576};
  const model::Backend backend{.kernels = &kernel_set(), .pool = &pool()};
  const auto rates = bench::measure_blocks(shape, schemes, backend, batches);
  for (const bench::ModelBatch& row : bench::model_batches(shape, schemes, rates, batches, backend, 128))
    results.add(row);
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
  bench.print_kernels(peaks);
  bench.print_models(peaks);
  std::fflush(stdout);
  const auto write = [&] {
    if (!json || bench.write_json(json, device_name(), peaks)) return true;
    std::fprintf(stderr, "cuda_bench: cannot write %s\n", json);
    return false;
  };
  if (!write()) return 1;
  bench_batches(bench);
  bench.print_batches(peaks);
  return write() ? 0 : 1;
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
