#include "kernels/cuda/linear_decode.h"

#include <algorithm>

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

template <class T>
T* behind(T* p, int64_t count) {
  return p ? p + count : nullptr;
}

// The same call from token `first` on.
void skip_tokens(decode::DecodeJob& job, int first) {
  DecodeInputs& in = job.in;
  in.values += int64_t{first} * kBlockColumns;
  in.scales = behind(in.scales, first);
  in.sums = behind(in.sums, int64_t{first} * in.pieces);
  in.totals = behind(in.totals, first);
  in.steps = behind(in.steps, int64_t{first} * (in.pieces / 4));
  job.out.y += first * job.out.y_row;
}

}  // namespace

void decode_linear(const DecodeWeight& w, const DecodeInputs& in, const DecodeOutput& out) {
  int at_once = in.tokens;
  int64_t token_bytes = 0;
  if (w.chunks.chunks > 1) {
    token_bytes = int64_t{w.row_blocks} * w.chunks.chunks * kBlockRows * int64_t{sizeof(float)};
    const int64_t passes = std::max<int64_t>(1, decode::most_partial / (token_bytes * kDecodeTokens));
    at_once = static_cast<int>(std::min<int64_t>(in.tokens, passes * kDecodeTokens));
  }
  for (int first = 0; first < in.tokens; first += at_once) {
    decode::DecodeJob job{w, in, out};
    skip_tokens(job, first);
    job.tokens = std::min(at_once, in.tokens - first);
    if (token_bytes > 0)
      job.partial = static_cast<float*>(
          workspace(Purpose::linear_partial, static_cast<size_t>(token_bytes * job.tokens)));
    start(job);
  }
}

}  // namespace aquatint::kernels::cuda
