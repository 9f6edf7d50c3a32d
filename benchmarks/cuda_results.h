// What cuda_bench has measured, as Markdown and JSON.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "bench/block_rates.h"

namespace aquatint::kernels::cuda {

// The card's, after its data sheet.
struct Peaks {
  double gb_per_s = 0, tflops = 0;
};

// A call of a kernel.
struct KernelRow {
  std::string kernel, shape;
  double us = 0, gb_per_s = 0, tflops = 0;
};

// A whole model, tokens per second.
struct ModelRow {
  std::string scheme;
  double gigabytes = 0;                  // read by a token
  double one = 0, eight = 0;             // generated: one sequence, eight
  double prompts = 0, long_prompts = 0;  // eight of 64 tokens, one of 2048
};

class Results {
 public:
  // Each is said on stderr as it comes.
  void add(KernelRow row);
  void add(ModelRow row);  // of Llama-3-8B; BF16, which ratios refer to, comes first
  void add(bench::ModelBatch row);

  void print_kernels(const Peaks& peaks) const;
  void print_models(const Peaks& peaks) const;
  void print_batches(const Peaks& peaks) const;
  bool write_json(const char* path, std::string_view device, const Peaks& peaks) const;

 private:
  const bench::ModelBatch* batch(std::string_view scheme, int sequences) const;

  std::vector<KernelRow> kernels_;
  std::vector<ModelRow> models_;
  std::vector<bench::ModelBatch> batches_;  // of Llama-2-70B
};

}  // namespace aquatint::kernels::cuda
