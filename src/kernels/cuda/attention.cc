// Which kernel attention is.
#include "kernels/cuda/attention.h"

#include "base/error.h"
#include "kernels/cuda/slots.h"

namespace aquatint::kernels::cuda {

void attention(const Spans& spans, const AttentionShape& shape, Precision precision, Phase phase,
               const float* q, int64_t q_stride, float* out, base::ThreadPool&) {
  AQ_CHECK(shape.heads % shape.kv_heads == 0 && shape.scale > 0);
  if (spans.list.empty()) return;
  const AttentionCall call{spans, shape, precision, q, q_stride, out};
  const bool plain =
      precision == Precision::fp32 || call.format() == KvFormat::fp32 || shape.head_dim > kWidestHead;
  (plain ? attention_plain : phase == Phase::decode ? attention_decode : attention_prefill)(call);
}

}  // namespace aquatint::kernels::cuda
