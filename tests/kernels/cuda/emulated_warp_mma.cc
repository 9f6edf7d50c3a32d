// What ptx/warp_mma.h says, lane by lane.
#include "kernels/cuda/ptx/warp_mma.h"

namespace aquatint::kernels::cuda::ptx {
namespace {

struct Fragments {
  uint32_t a[4], b[2];
};

float half_word(uint32_t word, int high) { return __uint_as_float(high ? word & 0xffff0000u : word << 16); }

}  // namespace

void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const Fragments own{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  struct Sums {
    float d[4];
  };
  const Sums sums = emulated::collective<Sums>(32, "mma_bf16", own, [&d](int lane, auto of) {
    const int group = lane / 4, part = lane % 4;
    Fragments rows[4], columns[2][4];  // by the part that holds the depth
    for (int at = 0; at < 4; ++at) {
      rows[at] = of(group * 4 + at);
      for (int i = 0; i < 2; ++i) columns[i][at] = of((2 * part + i) * 4 + at);
    }
    Sums s;
    for (int i = 0; i < 4; ++i) {
      float sum = d[i];
      for (int k = 0; k < 16; ++k) {
        const int at = k % 8 / 2;
        sum +=
            half_word(rows[at].a[i / 2 + k / 8 * 2], k % 2) * half_word(columns[i % 2][at].b[k / 8], k % 2);
      }
      s.d[i] = sum;
    }
    return s;
  });
  for (int i = 0; i < 4; ++i) d[i] = sums.d[i];
}

}  // namespace aquatint::kernels::cuda::ptx
