#include "numeric/format.h"
#include "numeric/formats/codebook.h"

namespace aquatint::numeric {
namespace {

// arXiv 2305.14314, Appendix E; bit for bit those of bitsandbytes.
constexpr std::array<float, 16> kValues = {-1.0f,
                                           -0.6961928009986877f,
                                           -0.5250730514526367f,
                                           -0.39491748809814453f,
                                           -0.28444138169288635f,
                                           -0.18477343022823334f,
                                           -0.09105003625154495f,
                                           0.0f,
                                           0.07958029955625534f,
                                           0.16093020141124725f,
                                           0.24611230194568634f,
                                           0.33791524171829224f,
                                           0.44070982933044434f,
                                           0.5626170039176941f,
                                           0.7229568362236023f,
                                           1.0f};

float decode(uint32_t code) { return kValues[code & 15]; }
uint32_t encode(float value) { return nearest_entry(kValues, value); }

}  // namespace

const Format nf4 = {"nf4",  4,          Kind::codebook,
                    1.0f,   kValues[8], "quantiles of a normal distribution; needs absmax blocks",
                    decode, encode};

}  // namespace aquatint::numeric
