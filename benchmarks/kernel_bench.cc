// Times every usable kernel set on the shapes of small and large models.
//   kernel_bench --benchmark_filter=avx512/decode/bf16 --threads=2
// Counters: bytes_per_second of weights read, FLOP/s (2 per multiply-add), tok/s of a whole SmolLM2-135M
// step.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstring>

#include "base/processors.h"
#include "cases/linear_cases.h"
#include "kernels/arena.h"
#include "kernels/kv_layout.h"
#include "kernels/ops.h"

namespace aquatint::kernels {
namespace {

using benchmark::Counter;
using benchmark::State;
using tensor::QuantizedMatrix;

int g_threads = base::default_threads();

cases::WeightKind kind_named(std::string_view name) {
  for (const cases::WeightKind& kind : cases::weight_kinds())
    if (kind.name == name) return kind;
  std::abort();
}

// Copies of one matrix that together exceed `total` bytes, so that a pass reads memory and not a cache.
std::vector<std::unique_ptr<PackedMatrix>> copies(const KernelSet& set, const QuantizedMatrix& m,
                                                  Precision precision, uint64_t total,
                                                  base::ThreadPool& pool) {
  std::vector<std::unique_ptr<PackedMatrix>> packed;
  const QuantizedMatrix* part = &m;
  do {
    packed.push_back(set.pack({&part, 1}, precision, pool));
  } while (packed.back()->bytes() * packed.size() < total);
  return packed;
}

void linear(State& state, const KernelSet& set, const std::string& kind, Precision precision, Phase phase,
            int64_t out, int64_t in, int64_t rows) {
  base::ThreadPool pool(g_threads);
  const QuantizedMatrix m = cases::random_matrix(kind_named(kind), out, in, 1);
  const auto packed = copies(set, m, precision, phase == Phase::decode ? 200u << 20 : 1, pool);
  const std::vector<float> x = cases::random_floats(rows * in, 2);
  std::vector<float> y(static_cast<size_t>(rows * out));
  size_t next = 0;
  for (auto _ : state) {
    set.linear(*packed[next], x.data(), rows, phase, nullptr, false, y.data(), out, pool);
    next = (next + 1) % packed.size();
  }
  const auto count = static_cast<double>(state.iterations());
  state.counters["FLOP/s"] = Counter(2.0 * static_cast<double>(rows * out * in) * count, Counter::kIsRate);
  state.SetBytesProcessed(static_cast<int64_t>(count * static_cast<double>(packed[0]->bytes())));
}

KvFormat kv_format(Precision p) { return p == Precision::fp32 ? KvFormat::fp32 : KvFormat::bf16; }
std::byte* aligned(std::vector<std::byte>& memory) {
  return memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
}

// SmolLM2-135M: 30 layers of 9 query and 3 key heads of 64, hidden 576, feed-forward 1536, 49152 tokens.
struct Smol {
  static constexpr int64_t kLayers = 30, kHidden = 576, kFeed = 1536, kVocabulary = 49152, kQkv = 960;
  Smol(const KernelSet& kernels, const std::string& kind, Precision p, int64_t capacity)
      : set(kernels),
        precision(p),
        pool(g_threads),
        cache(static_cast<size_t>(kLayers * 3) * kv_layout(kv_format(p), 64, capacity, 0).head_bytes + 64) {
    for (int64_t i = 0; i < kLayers; ++i) {
      add(kind, kQkv, kHidden);
      add(kind, kHidden, kHidden);
      add(kind, 2 * kFeed, kHidden);
      add(kind, kHidden, kFeed);
    }
    add("bf16", kVocabulary, kHidden);
    const int64_t layer = 3 * kv_layout(kv_format(p), 64, capacity, 0).head_bytes;
    for (int64_t i = 0; i < kLayers; ++i)
      kv.push_back({aligned(cache) + i * layer, kv_format(p), capacity, 0});
    for (int64_t i = 0; i < 32; ++i) frequencies.push_back(static_cast<float>(std::pow(1e5, -i / 32.0)));
  }

  void add(const std::string& kind, int64_t out, int64_t in) {
    const QuantizedMatrix m = cases::random_matrix(kind_named(kind), out, in, weights.size());
    const QuantizedMatrix* part = &m;
    weights.push_back(set.pack({&part, 1}, precision, pool));
  }

  void forward(int64_t rows, int64_t position, Phase phase) {
    const AttentionShape shape = {9, 3, 64, 0, 0.125f};
    std::vector<float> x = cases::random_floats(rows * kHidden, 1), ones(kHidden, 1.0f);
    std::vector<float> h(x.size()), qkv(static_cast<size_t>(rows * kQkv)),
        gate_up(static_cast<size_t>(rows * 2 * kFeed));
    std::vector<float> feed(static_cast<size_t>(rows * kFeed)), logits(kVocabulary);
    std::vector<int32_t> positions;
    for (int64_t i = 0; i < rows; ++i) positions.push_back(static_cast<int32_t>(position + i));
    for (size_t i = 0; i < kLayers; ++i) {
      const AttentionSpan span = {kv[i], 0, rows, position};
      set.rms_norm(x.data(), ones.data(), 1e-5f, rows, kHidden, h.data(), pool);
      set.linear(*weights[4 * i], h.data(), rows, phase, nullptr, false, qkv.data(), kQkv, pool);
      set.rope(qkv.data(), rows, kQkv, 12, 64, positions.data(), frequencies.data(), 1.0f, pool);
      set.store_kv({{&span, 1}}, shape, qkv.data() + 576, qkv.data() + 768, kQkv, pool);
      set.attention({{&span, 1}}, shape, precision, phase, qkv.data(), kQkv, h.data(), pool);
      set.linear(*weights[4 * i + 1], h.data(), rows, phase, nullptr, true, x.data(), kHidden, pool);
      set.rms_norm(x.data(), ones.data(), 1e-5f, rows, kHidden, h.data(), pool);
      set.linear(*weights[4 * i + 2], h.data(), rows, phase, nullptr, false, gate_up.data(), 2 * kFeed, pool);
      set.swiglu(gate_up.data(), rows, kFeed, feed.data(), pool);
      set.linear(*weights[4 * i + 3], feed.data(), rows, phase, nullptr, true, x.data(), kHidden, pool);
    }
    set.linear(*weights.back(), x.data() + (rows - 1) * kHidden, 1, phase, nullptr, false, logits.data(),
               kVocabulary, pool);
  }

  const KernelSet& set;
  Precision precision;
  base::ThreadPool pool;
  std::vector<std::byte> cache;
  std::vector<KvView> kv;
  std::vector<float> frequencies;
  std::vector<std::unique_ptr<PackedMatrix>> weights;
};

void smol(State& state, const KernelSet& set, const std::string& kind, Precision precision, Phase phase) {
  Smol model(set, kind, precision, 1024);
  const int64_t rows = phase == Phase::prefill ? 512 : 1;
  for (auto _ : state) model.forward(rows, phase == Phase::prefill ? 0 : 200, phase);
  state.counters["tok/s"] = Counter(static_cast<double>(rows * state.iterations()), Counter::kIsRate);
  uint64_t bytes = 0;
  for (const auto& w : model.weights) bytes += w->bytes();
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
}

// Prefill: the whole prompt. Decode: one token at its end; as many layers in turn as exceed the caches.
void attention(State& state, const KernelSet& set, KvFormat format, Phase phase, int64_t tokens) {
  base::ThreadPool pool(g_threads);
  const AttentionShape shape = {9, 3, 64, 0, 0.125f};
  const int64_t recent = kv_recent(format, 0);
  const int64_t bytes = 3 * kv_layout(format, 64, tokens, recent).head_bytes;
  const int64_t layers = phase == Phase::prefill ? 1 : (300 << 20) / bytes + 1;
  const std::shared_ptr<std::byte> cache = arena_allocate(static_cast<size_t>(layers * bytes));
  const int64_t rows = phase == Phase::prefill ? tokens : 1;
  const std::vector<float> q = cases::random_floats(kKvRows * 960, 1);
  const std::vector<float> queries = cases::random_floats(rows * 960, 2);
  std::vector<float> out(static_cast<size_t>(rows * 576));
  const auto span = [&](int64_t layer, int64_t position, int64_t count) {
    return AttentionSpan{{cache.get() + layer * bytes, format, tokens, recent}, 0, count, position};
  };
  const auto store = [&](const AttentionSpan& s) {
    set.store_kv({{&s, 1}}, shape, q.data() + 576, q.data() + 768, 960, pool);
  };
  for (int64_t layer = 0; layer < layers; ++layer)
    for (int64_t p = 0; p < tokens; p += kKvRows) store(span(layer, p, std::min(kKvRows, tokens - p)));
  int64_t layer = 0;
  for (auto _ : state) {
    const AttentionSpan s = span(layer, tokens - rows, rows);
    set.attention({{&s, 1}}, shape, Precision::bf16, phase, queries.data(), 960, out.data(), pool);
    layer = (layer + 1) % layers;
  }
  const double pairs =
      phase == Phase::decode ? static_cast<double>(tokens) : 0.5 * static_cast<double>(tokens * tokens);
  const auto count = static_cast<double>(state.iterations());
  state.counters["FLOP/s"] = Counter(4 * 576 * pairs * count, Counter::kIsRate);
  if (phase == Phase::decode)
    state.counters["bytes/s"] = Counter(static_cast<double>(bytes) * count, Counter::kIsRate);
}

void divergence(State& state, const KernelSet& set) {
  base::ThreadPool pool(g_threads);
  constexpr int64_t kRows = 64, kCols = 49152;
  const std::vector<float> a = cases::random_floats(kRows * kCols, 1, 3.0),
                           b = cases::random_floats(kRows * kCols, 2, 3.0);
  std::vector<Divergence> out(kRows);
  for (auto _ : state) set.divergence(a.data(), b.data(), kRows, kCols, out.data(), pool);
  state.counters["rows/s"] = Counter(static_cast<double>(kRows * state.iterations()), Counter::kIsRate);
}

void add_benches(const KernelSet& set) {
  const auto add = [&](const std::string& name, auto body) {
    benchmark::RegisterBenchmark(fmt::format("{}/{}", set.name, name).c_str(), body)->UseRealTime();
  };
  const KernelSet* s = &set;
  for (const char* kind : {"bf16", "int8_channel", "w8a8", "fp8_channel", "w4a16", "q4_1", "nf4", "fp32"}) {
    const Precision precision = std::strcmp(kind, "fp32") == 0 ? Precision::fp32 : Precision::bf16;
    const std::string k = kind;
    for (const auto& [out, in] : {std::pair{1536, 576}, {576, 1536}, {8192, 2048}, {2048, 8192}}) {
      for (const int64_t rows : {1, 4, 8})
        add(fmt::format("decode/{}/{}x{}/{}", kind, out, in, rows), [=, out = out, in = in](State& state) {
          linear(state, *s, k, precision, Phase::decode, out, in, rows);
        });
      for (const int64_t rows : {16, 512})
        add(fmt::format("prefill/{}/{}x{}/{}", kind, out, in, rows), [=, out = out, in = in](State& state) {
          linear(state, *s, k, precision, Phase::prefill, out, in, rows);
        });
    }
    for (const Phase phase : {Phase::prefill, Phase::decode})
      add(fmt::format("smol/{}/{}", phase == Phase::prefill ? "prefill512" : "decode", kind),
          [=](State& state) { smol(state, *s, k, precision, phase); });
  }
  for (const KvFormat format :
       {KvFormat::fp32, KvFormat::bf16, KvFormat::fp8_e4m3, KvFormat::int8, KvFormat::int4})
    for (const auto& [phase, lengths] :
         {std::pair<Phase, std::vector<int64_t>>{Phase::prefill, {512, 2048}}, {Phase::decode, {512, 32768}}})
      for (const int64_t tokens : lengths) {
        if (phase == Phase::prefill && format == KvFormat::int4) continue;  // goes in pieces of kKvRows
        const std::string_view what = phase == Phase::prefill ? "prefill" : "decode";
        add(fmt::format("attention/{}/{}/{}", what, name(format), tokens),
            [=, phase = phase](State& state) { attention(state, *s, format, phase, tokens); });
      }
  add("divergence", [=](State& state) { divergence(state, *s); });
}

}  // namespace
}  // namespace aquatint::kernels

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (std::strncmp(argv[i], "--threads=", 10) == 0) aquatint::kernels::g_threads = std::atoi(argv[i] + 10);
  for (const aquatint::kernels::KernelSet* set : aquatint::kernels::kernel_sets())
    if (set->usable() && set->name != "ref") aquatint::kernels::add_benches(*set);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
