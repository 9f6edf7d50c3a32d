#include "bench/kernel_rates.h"

#include <gtest/gtest.h>

#include <cmath>

#include "numeric/scheme.h"

namespace aquatint::bench {
namespace {

TEST(KernelRates, EveryKernelHasItsRatesAndShares) {
  base::ThreadPool pool(2);
  const Peaks peaks{10, 1 << 20, {{"fp32", 1e12}, {"bf16", 2e12}, {"int8", 4e12}}};
  const auto rates = measure_kernels(kernels::kernel_set("auto"), pool, peaks, {128, 256, 1 << 20});
  ASSERT_EQ(rates.size(), numeric::schemes().size() + 6);  // BF16, W4A16 in finer groups, attention
  EXPECT_EQ(rates.back().kernel, "attention int4");
  for (const KernelRate& rate : rates) {
    EXPECT_GT(rate.decode_1_cache.value, 0) << rate.kernel;
    EXPECT_GT(rate.decode_1_cache.share, 0) << rate.kernel;
    const numeric::Scheme* scheme = numeric::find_scheme(rate.kernel);
    const bool integers =
        scheme && scheme->input.format && scheme->input.format->kind == numeric::Kind::integer;
    EXPECT_DOUBLE_EQ(rate.prefill_512.share, rate.prefill_512.value / (integers ? 4e12 : 2e12))
        << rate.kernel;
    if (std::isfinite(rate.decode_8.value)) {
      EXPECT_DOUBLE_EQ(rate.decode_8.share, rate.decode_8.value / 10e9);
    }
  }
  EXPECT_DOUBLE_EQ(rates[0].bits, 16);
  const base::Json json = to_json(rates);
  EXPECT_DOUBLE_EQ(json[0]["decode_1"]["per_second"].get<double>(), rates[0].decode_1.value);
  EXPECT_FALSE(json.back().contains("decode_8"));
}

}  // namespace
}  // namespace aquatint::bench
