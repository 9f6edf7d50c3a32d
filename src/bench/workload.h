// Speed of a loaded model, as llama-bench defines it. Prefill: a prompt of N random tokens through the model,
// the head applied to its last position. Decode: M random tokens one by one from an empty context, the head
// applied to each; sampling is not timed. With a depth D both begin behind D tokens. With a batch B sequences
// go together and rates count all their tokens. Before the repeats that count, `warmups` prompts and as many
// short decodes run untimed.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "bench/peaks.h"
#include "model/model.h"

namespace aquatint::bench {

struct Workload {
  int prompt_tokens = 512;    // 0: no prefill
  int generate_tokens = 128;  // 0: no decode
  int depth = 0;              // tokens that lie in the context before either is timed
  std::vector<int> batches = {1};
  int warmups = 1, repeats = 5;
  uint64_t seed = 0;
  // Peak that prefill's arithmetic is held against: "int8" for schemes that round their inputs to int8;
  // empty: the precision the model was loaded for.
  std::string arithmetic;
};

// Workload::arithmetic for a checkpoint of this scheme; "" for a name that is no preset.
std::string arithmetic_of(std::string_view scheme);

struct Run {
  int batch = 1, prompt_tokens = 0, generate_tokens = 0, depth = 0;
  std::vector<double> prefill, decode;  // tokens/s, one per repeat; empty where not asked for
  // Weight bytes a decode step reads · steps/s over the measured read bandwidth; KV reads are not counted.
  // NaN when not measured.
  double bandwidth_utilization;
  // 2 · parameters of the blocks' linears · prefill rate over the measured peak. NaN when not measured.
  double flop_utilization;
};

struct BenchResult {
  Peaks peaks;
  uint64_t peak_ram_bytes = 0;     // base::peak_ram_bytes() after the runs
  uint64_t peak_device_bytes = 0;  // of a GPU's memory, as its driver counts; 0 on the CPU
  uint64_t weight_bytes = 0;       // packed, resident
  std::string kernels;
  std::string_view kv_format;
  std::vector<Run> runs;  // by batch, in the order asked for
};

// `peaks` with read_gb_s 0: the read bandwidth is measured after the runs over a buffer of the model's own
// bytes_per_decode(), and its buffer does not count as the workload's memory.
// Throws BadUsage for impossible numbers (nothing to measure, no repeat, longer than the model's positions),
// OutOfResource when the caches do not fit in memory. Reports progress; stops between steps.
BenchResult run_workload(model::Model& model, const Workload& workload, Peaks peaks);

// Multiplied once for each prompt token: the linears of all blocks, without embedding and head.
int64_t block_parameters(const model::Config& config);

base::Json to_json(const BenchResult& result);  // the keys of `aquatint bench --json`

}  // namespace aquatint::bench
