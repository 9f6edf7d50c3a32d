// Exponentials of the generic kernels; included inside an instruction set's namespace.

// FP32, at most 2 ulp for −87 ≤ x ≤ 88; x is clamped to that range. Cody-Waite reduction to |r| ≤ ln2 / 2,
// then the Taylor polynomial of degree 7, whose remainder there is 5e-9.
AQ_INLINE V exp(V x) {
  x = max(min(x, set(88.0f)), set(-87.0f));
  const V magic = set(0x1.8p23f);
  const V t = fma(x, set(0x1.715476p0f), magic);
  const V n = sub(t, magic);
  V r = fma(n, set(-0x1.62e4p-1f), x);
  r = fma(n, set(-0x1.7f7d1cp-20f), r);
  V p = set(1.0f / 5040);
  p = fma(p, r, set(1.0f / 720));
  p = fma(p, r, set(1.0f / 120));
  p = fma(p, r, set(1.0f / 24));
  p = fma(p, r, set(1.0f / 6));
  p = fma(p, r, set(0.5f));
  p = fma(p, r, set(1.0f));
  p = fma(p, r, set(1.0f));
  return mul(p, pow2(t));
}

// 2^x in FP32 for −125 ≤ x < 127, relative error below 2e-7; below −125 it is 2^-125. 2^0 is 1. The minimax
// polynomial of degree 6 on |r| ≤ 1/2 is off by 1.6e-8.
AQ_INLINE V exp2(V x) {
  x = max(x, set(-125.0f));
  const V magic = set(0x1.8p23f);
  const V t = add(x, magic);
  const V r = sub(x, sub(t, magic));
  V p = set(0x1.41d334p-13f);
  p = fma(p, r, set(0x1.5f456ap-10f));
  p = fma(p, r, set(0x1.3b2dbcp-7f));
  p = fma(p, r, set(0x1.c6aed4p-5f));
  p = fma(p, r, set(0x1.ebfbdap-3f));
  p = fma(p, r, set(0x1.62e430p-1f));
  p = fma(p, r, set(1.0f));
  return times_pow2(p, t);
}

// FP64 for −700 ≤ x ≤ 0 with a relative error below 1e-13 (Taylor, degree 11: remainder 6e-15); below −700 it
// is e^-700.
AQ_INLINE D exp(D x) {
  x = max(x, set_d(-700.0));
  const D magic = set_d(0x1.8p52);
  const D t = fma(x, set_d(0x1.71547652b82fep0), magic);
  const D n = sub(t, magic);
  D r = fma(n, set_d(-0x1.62e42feep-1), x);
  r = fma(n, set_d(-0x1.a39ef35793c76p-33), r);
  constexpr double kInverseFactorial[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                          1.0 / 5040,     1.0 / 720,     1.0 / 120,    1.0 / 24,
                                          1.0 / 6,        0.5,           1.0,          1.0};
  D p = set_d(kInverseFactorial[0]);
#pragma GCC unroll 11
  for (int i = 1; i < 12; ++i) p = fma(p, r, set_d(kInverseFactorial[i]));
  return mul(p, pow2(t));
}
