#include "cuda_results.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "base/json.h"

namespace aquatint::kernels::cuda {

void Results::add(KernelRow r) {
  fmt::print(stderr, "{:<24} {:<34} {:10.1f} us {:8.0f} GB/s {:7.1f} TFLOP/s\n", r.kernel, r.shape, r.us,
             r.gb_per_s, r.tflops);
  kernels_.push_back(std::move(r));
}

void Results::add(ModelRow r) {
  fmt::print(stderr, "8B {:<14} {:7.2f} GB {:8.1f} {:8.1f} {:8.0f} {:8.0f} tok/s\n", r.scheme, r.gigabytes,
             r.one, r.eight, r.prompts, r.long_prompts);
  models_.push_back(std::move(r));
}

void Results::add(bench::ModelBatch r) {
  fmt::print(stderr, "70B {:<14} {:4} sequences {:8.1f} ms {:8.2f} ms {:8.1f} tok/s\n", r.scheme, r.sequences,
             r.first_token * 1e3, r.token * 1e3, r.tokens_per_second());
  batches_.push_back(std::move(r));
}

void Results::print_kernels(const Peaks& peaks) const {
  fmt::print(
      "| kernel | shape | us | GB/s | of {:.0f} | TFLOP/s | of {:.0f} |\n|---|---|---|---|---|---|---|\n",
      peaks.gb_per_s, peaks.tflops);
  for (const KernelRow& r : kernels_)
    fmt::print("| {} | {} | {:.1f} | {:.0f} | {:.0f} % | {:.1f} | {:.0f} % |\n", r.kernel, r.shape, r.us,
               r.gb_per_s, 100 * r.gb_per_s / peaks.gb_per_s, r.tflops, 100 * r.tflops / peaks.tflops);
}

void Results::print_models(const Peaks& peaks) const {
  fmt::print(
      "\n| Llama-3-8B | GB a token | tok/s, 1 sequence | of the roofline | over BF16 | 8 sequences | prompts "
      "of "
      "64, tok/s | of 2048 | over BF16 |\n|---|---|---|---|---|---|---|---|---|\n");
  for (const ModelRow& m : models_)
    fmt::print("| {} | {:.2f} | {:.1f} | {:.0f} % | {:.2f} | {:.1f} | {:.0f} | {:.0f} | {:.2f} |\n", m.scheme,
               m.gigabytes, m.one, 100 * m.one * m.gigabytes / peaks.gb_per_s, m.one / models_[0].one,
               m.eight, m.prompts, m.long_prompts, m.long_prompts / models_[0].long_prompts);
}

void Results::print_batches(const Peaks& peaks) const {
  fmt::print(
      "\n| Llama-2-70B | cache | sequences | TTFT ms | TPOT ms | tok/s | with prompts | GB/s | of {:.0f} "
      "|\n|---|---|---|---|---|---|---|---|---|\n",
      peaks.gb_per_s);
  for (const bench::ModelBatch& m : batches_) {
    const double rate = m.bytes / m.token * 1e-9;
    fmt::print("| {} | {} | {} | {:.1f} | {:.2f} | {:.1f} | {:.1f} | {:.0f} | {:.0f} % |\n", m.scheme, m.kv,
               m.sequences, m.first_token * 1e3, m.token * 1e3, m.tokens_per_second(), m.output_per_second(),
               rate, 100 * rate / peaks.gb_per_s);
  }
  const bench::ModelBatch *fp8 = batch("FP8_DYNAMIC", 64), *bf16 = batch("BF16", 32);
  if (fp8 && bf16)
    fmt::print("\nFP8 at 64 sequences over BF16 at 32: {:.2f} of the tokens a second, with prompts {:.2f}.\n",
               fp8->tokens_per_second() / bf16->tokens_per_second(),
               fp8->output_per_second() / bf16->output_per_second());
}

bool Results::write_json(const char* path, std::string_view device, const Peaks& peaks) const {
  base::Json json = {{"device", device},
                     {"bandwidth_gb_s", peaks.gb_per_s},
                     {"rate_tflop_s", peaks.tflops},
                     {"rows", base::Json::array()},
                     {"models", base::Json::array()},
                     {"batches", base::Json::array()}};
  for (const KernelRow& r : kernels_)
    json["rows"].push_back({{"kernel", r.kernel},
                            {"shape", r.shape},
                            {"us", r.us},
                            {"gb_s", r.gb_per_s},
                            {"tflop_s", r.tflops}});
  for (const ModelRow& m : models_)
    json["models"].push_back({{"scheme", m.scheme},
                              {"gigabytes", m.gigabytes},
                              {"decode_1", m.one},
                              {"decode_8", m.eight},
                              {"prompts", m.prompts},
                              {"prompts_2048", m.long_prompts},
                              {"decode_1_over_bf16", m.one / models_[0].one},
                              {"prompts_2048_over_bf16", m.long_prompts / models_[0].long_prompts}});
  for (const bench::ModelBatch& m : batches_)
    json["batches"].push_back({{"scheme", m.scheme},
                               {"kv", m.kv},
                               {"sequences", m.sequences},
                               {"ttft_ms", m.first_token * 1e3},
                               {"tpot_ms", m.token * 1e3},
                               {"decode_tok_s", m.tokens_per_second()},
                               {"output_tok_s", m.output_per_second()},
                               {"gb_s", m.bytes / m.token * 1e-9}});
  std::FILE* f = std::fopen(path, "w");
  if (!f) return false;
  fmt::print(f, "{}\n", json.dump(1));
  return std::fclose(f) == 0;
}

const bench::ModelBatch* Results::batch(std::string_view scheme, int sequences) const {
  for (const bench::ModelBatch& m : batches_)
    if (m.scheme == scheme && m.sequences == sequences) return &m;
  return nullptr;
}

}  // namespace aquatint::kernels::cuda
