// The kernels of attention. What each takes and leaves is ops.h's; attention() chooses.
#pragma once
#include "kernels/cuda/device.h"
#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

struct AttentionCall {
  const Spans& spans;
  const AttentionShape& shape;
  Precision precision;
  const float* q;
  int64_t q_stride;
  float* out;

  KvFormat format() const { return spans.list[0].cache.format; }
};

// Generated tokens and prompts over caches of at most 16 bits, heads of at most kWidestHead dimensions.
constexpr int64_t kWidestHead = 256;
void attention_decode(const AttentionCall& call);
void attention_prefill(const AttentionCall& call);
// Everything, in FP32.
void attention_plain(const AttentionCall& call);

// Positions that one block of attention_decode() reads for a token: a function of its position alone. At
// least one square (int4: one group) for each of the block's warps; more for positions so far that there are
// kMostChunks of them.
constexpr int64_t kMostChunks = 64;
constexpr int64_t decode_chunk(KvFormat format, int64_t position) {
  int64_t chunk = format == KvFormat::int4 ? 256 : 128;
  while (position / chunk >= kMostChunks) chunk *= 2;
  return chunk;
}

}  // namespace aquatint::kernels::cuda
