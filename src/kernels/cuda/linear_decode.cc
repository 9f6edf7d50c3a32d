#include "kernels/cuda/linear_decode.h"

#include "kernels/cuda/device.h"

namespace aquatint::kernels::cuda {
namespace {

void start(const decode::DecodeJob& job) {
  switch (job.w.plan.codes) {
    case Codes::int4:
      return decode::start_int4(job);
    case Codes::book4:
      return decode::start_book4(job);
    case Codes::int8:
      return decode::start_int8(job);
    case Codes::e4m3:
      return decode::start_e4m3(job);
    default:
      return decode::start_bf16(job);
  }
}

}  // namespace

void decode_linear(const DecodeWeight& w, const DecodeInputs& in, const DecodeOutput& out) {
  decode::DecodeJob job{w, in, out};
  if (w.chunks.chunks > 1) {
    const int tokens = in.tokens < kDecodeTokens ? in.tokens : kDecodeTokens;
    const int64_t sums = int64_t{w.row_blocks} * w.chunks.chunks * tokens * kBlockRows;
    job.partial =
        static_cast<float*>(workspace(Purpose::linear_partial, static_cast<size_t>(sums) * sizeof(float)));
  }
  for (job.first_token = 0; job.first_token < in.tokens; job.first_token += kDecodeTokens) {
    job.tokens = in.tokens - job.first_token;
    if (job.tokens > kDecodeTokens) job.tokens = kDecodeTokens;
    start(job);
  }
}

}  // namespace aquatint::kernels::cuda
