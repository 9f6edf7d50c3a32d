// What share of a data sheet's rates is reached: efficiencies.json, built in, one set for all GPUs, or
// measured on this machine's CPU.
#pragma once
#include <map>
#include <string>

#include "base/json.h"

namespace aquatint::plan {

// Of one kind of weights in the blocks of one shape, measured with all that a block does besides, but
// attention over a context: what a roofline does not know of a CPU.
struct KernelSpeed {
  double bits = 0;        // packed, per weight
  double one_row = 0;     // bytes/s, one generated row at a time
  double eight_rows = 0;  // bytes/s, eight rows at once
  double prompt = 0;      // operations/s, 2 per weight and prompt token
};
using KernelSpeeds = std::map<std::string, KernelSpeed, std::less<>>;  // by scheme: "BF16", "W4A16"; "head"

struct Efficiency {
  double weight_bandwidth = 0;  // share of the memory's bandwidth when weights are streamed
  double cache_bandwidth = 0;   // when keys and values are
  // Share of a format's dense rate in matrix products; by "bf16", "fp8_e4m3", …
  std::map<std::string, double, std::less<>> matrix;
  double attention = 0;           // share of the 16-bit rate in attention over prompts
  double dequantizing = 1;        // of products whose weights are widened first
  double head = 0;                // share of the 16-bit rate in the output head
  double link = 0;                // share of a link's bandwidth in an all-reduce
  double collective_seconds = 0;  // of one all-reduce, whatever its size
  double step_seconds = 0;        // of a step: launches, sampling, scheduling
  double sequence_seconds = 0;    // of a step, for each sequence in it
  double reserve = 0;             // share of memory that is left free
  double fixed_bytes = 0;         // of a card: the driver's context, graphs, buffers of collectives
  double step_tokens = 0;         // of the largest step, whose activations must have room
  std::map<std::string, KernelSpeeds, std::less<>> kernels;  // by Shape::name; empty: the shares above
  double band = 0;     // how far predictions may be off, as a share: the largest miss seen
  std::string source;  // what the numbers come from

  double of(std::string_view format) const;
  const KernelSpeed* kernel(std::string_view shape, std::string_view of) const;  // null: not measured
};

Efficiency default_efficiency();

base::Json to_json(const Efficiency& efficiency);

}  // namespace aquatint::plan
