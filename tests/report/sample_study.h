// An invented study with the shape of a real one, for tests of the table, the verdict, the store and the
// report.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "report/study_data.h"

namespace aquatint::report {

struct SampleScheme {
  const char *scheme, *layout;
  double bits, megabytes, loss, kld, top1, prefill, decode, decode8;
  double layer_error;
};

inline StudyRow sample_row(const SampleScheme& s, RowKind kind, int position, base::Rng& rng) {
  StudyRow row;
  row.scheme = s.scheme;
  row.method = kind == RowKind::candidate ? "rtn" : "";
  row.layout = s.layout;
  row.kind = kind;
  row.position = position;
  row.fingerprint = fmt::format("fingerprint-{}", s.scheme);
  row.bits_per_weight = s.bits;
  row.bits_per_parameter = s.megabytes * 8 / 134.5;
  row.file_bytes = s.megabytes * 1e6;
  row.weight_bytes = s.megabytes * 1.02e6;
  row.peak_ram_bytes = s.megabytes * 1e6 + 4e8;
  row.quantize_seconds = kind == RowKind::candidate ? 1.9 : kNotMeasured;
  row.evaluate_seconds = 11;
  base::Rng windows(7);  // the same text for every row
  double sum = 0;
  for (int i = 0; i < 32; ++i) {
    row.window_nll.push_back(2.9 + 0.35 * windows.normal() + std::log1p(s.loss) +
                             0.05 * s.loss * rng.normal());
    sum += row.window_nll.back();
  }
  const double perplexity = std::exp(sum / 32);
  row.perplexity = {perplexity, perplexity * 0.062, 32};
  row.mean_kld = {s.kld, s.kld * 0.04, 32};
  row.median_kld = s.kld * 0.3;
  row.p90_kld = s.kld * 2.4;
  row.p95_kld = s.kld * 4;
  row.p99_kld = s.kld * 9;
  row.p999_kld = s.kld * 21;
  row.max_kld = s.kld * 60;
  for (int part = 0; part < 16; ++part)
    row.kld_by_position.push_back(s.kld * (1 + 0.05 * part + 0.1 * rng.normal()));
  row.same_top1 = s.top1;
  for (const int batch : {1, 8}) {
    SpeedResult speed{.batch = batch, .prompt_tokens = 512, .generate_tokens = 128};
    for (int i = 0; i < 5; ++i) {
      speed.prefill.push_back(s.prefill * (1 + 0.01 * rng.normal()));
      speed.decode.push_back((batch == 1 ? s.decode : s.decode8) * (1 + 0.012 * rng.normal()));
    }
    speed.bandwidth_utilization = s.decode * s.megabytes / 1e3 / 35.4;
    speed.flop_utilization = s.prefill * 2 * 0.1345 / 7500;
    speed.prefill_joules = 90 / s.prefill;
    speed.decode_joules = 70 / s.decode;
    row.speed.push_back(speed);
  }
  for (const char* task : {"arc_easy", "hellaswag", "lambada", "winogrande"}) {
    TaskResult result;
    result.name = task;
    result.baseline = task[0] == 'l' ? 0 : task[0] == 'w' ? 0.5 : 0.25;
    base::Rng items(task[0]);
    double right = 0;
    for (int i = 0; i < 500; ++i) {
      const bool flips = rng.uniform() < 0.4 * std::sqrt(s.kld);
      result.correct.push_back((items.uniform() < 0.55) != flips);
      right += result.correct.back();
    }
    const double accuracy = right / 500;
    result.accuracy = {accuracy, std::sqrt(accuracy * (1 - accuracy) / 499), 500};
    if (task[0] != 'l') result.accuracy_norm = {accuracy + 0.02, result.accuracy.error, 500};
    row.tasks.push_back(result);
  }
  if (kind == RowKind::candidate)
    for (int layer = 0; layer < 30; ++layer)
      for (const char* part : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
        row.layers.push_back(
            {fmt::format("model.layers.{}.{}", layer, part),
             s.layer_error * std::exp(0.3 * rng.normal() + (layer == 0 || layer == 29 ? 0.6 : 0.0)),
             "identity"});
  row.memory = {{"weights, I32", s.megabytes * 4e5},
                {"scales and offsets", s.megabytes * 2e4},
                {"embedding and head", 56.6e6},
                {kCachePart, 23.6e6}};
  if (kind == RowKind::candidate)
    row.flips = {{"arc_easy", 7, true, "Which of these is a mammal?", "a whale", "a shark"},
                 {"lambada", 12, false, "He looked at the", "another text", "sea"}};
  row.provenance = {"5d1f2c9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d",
                    fmt::format("scheme: {}\nmethod: rtn\n", s.scheme),
                    "0.1.0",
                    "Intel Xeon (amx_bf16 amx_int8 avx512_vnni)",
                    "cpu",
                    "amx",
                    "2026-11-21T12:00:00Z",
                    "aquatint study smollm2.gguf --to study --text policy.txt",
                    42};
  return row;
}

inline Study sample_study() {
  Study study;
  StudyFacts& f = study.facts;
  f.model = "SmolLM2-135M-Instruct";
  f.model_sha256 = "5d1f2c9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d";
  f.architecture = "LlamaForCausalLM";
  f.parameters = 134515008;
  f.hidden_size = 576;
  f.source_layout = "gguf";
  f.source_formats = {"Q4_1", "Q8_0", "F32"};
  f.tied_embeddings = true;
  f.embedding_bytes = 49152.0 * 576 * 2;
  f.text = "policy.txt";
  f.text_sha256 = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
  f.text_tokens = 16376;
  f.context = 512;
  f.stride = 512;
  f.score_from = 1;
  f.windows = 32;
  f.tasks = "arc_easy, hellaswag, lambada, winogrande: first 500 items each";
  f.cpu = "Intel Xeon (amx_bf16 amx_int8 avx512_vnni)";
  f.kernels = "amx";
  f.os = "Debian 12";
  f.threads = 2;
  f.ram_bytes = 16e9;
  f.read_gb_s = 35.4;
  f.bandwidth_buffer_bytes = 2.69e8;
  f.peak_flop_s = {{"fp32", 4.9e11}, {"bf16", 7.5e12}, {"int8", 1.5e13}};
  f.version = "0.1.0";
  f.date = "2026-11-21T12:00:00Z";
  f.command = "aquatint study smollm2.gguf --to study --text policy.txt";
  f.seed = 42;
  base::Rng rng(1);
  int position = 0;
  const auto add = [&](const SampleScheme& s, RowKind kind) {
    study.rows.push_back(sample_row(s, kind, position++, rng));
  };
  add({"FP32", "", 32, 538, 0, 0, 1, 320, 33, 150, 0}, RowKind::reference);
  add({"BF16", "safetensors", 16, 269, 0.0002, 2.1e-5, 0.996, 1210, 68, 320, 0}, RowKind::baseline);
  add({"W8A16", "compressed-tensors", 8.1, 163, 0.0006, 2.4e-4, 0.989, 1190, 120, 560, 6e-5},
      RowKind::candidate);
  add({"W4A16", "compressed-tensors", 4.25, 113, 0.061, 0.052, 0.868, 1150, 172, 700, 9e-3},
      RowKind::candidate);
  add({"W8A8", "compressed-tensors", 8.1, 163, 0.0048, 3.9e-3, 0.961, 1920, 124, 690, 6e-5},
      RowKind::candidate);
  add({"FP8_DYNAMIC", "compressed-tensors", 8.1, 163, 0.011, 8.8e-3, 0.942, 1090, 118, 520, 7e-4},
      RowKind::candidate);
  add({"NF4", "bitsandbytes", 4.13, 111, 0.049, 0.043, 0.881, 1040, 150, 610, 8e-3}, RowKind::candidate);
  study.rows[3].group = 64;
  study.rows[3].preset_group = 128;
  return study;
}

}  // namespace aquatint::report
