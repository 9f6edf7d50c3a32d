// One linear with what calibration saw at its input, for tests of methods that find codes.
#pragma once
#include <vector>

#include "base/rng.h"
#include "quant/input_statistics.h"
#include "quant/method.h"

namespace aquatint::quant {

inline std::vector<float> random_values(int64_t n, uint64_t seed, double size = 1) {
  base::Rng rng(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(rng.normal() * size);
  return values;
}

struct CalibratedLinear {
  // weights [rows][cols], x [tokens][cols]
  CalibratedLinear(int threads, int64_t rows, int64_t cols, std::vector<float> weights,
                   const std::vector<float>& x)
      : pool(threads),
        rows(rows),
        cols(cols),
        w(std::move(weights)),
        inputs(x, cols, "test", {&kernels::kernel_set("auto"), &pool}) {}

  tensor::QuantizedMatrix run(const Method& method, const numeric::WeightScheme& scheme, Clip clip,
                              const base::Json& settings = base::Json::object()) {
    MethodOptions options{.clip = clip,
                          .importance = inputs.importance(),
                          .inputs = &inputs,
                          .settings = default_settings(method)};
    options.settings.update(settings);
    return method.quantize(w, rows, cols, scheme, options, pool);
  }
  // Of the output, relative to it.
  double error(const tensor::QuantizedMatrix& m) {
    std::vector<float> values(w.size());
    tensor::dequantize(m, 0, m.rows, values.data());
    for (size_t i = 0; i < w.size(); ++i) values[i] -= w[i];
    return inputs.output_error(values) / inputs.output_error(w);
  }

  base::ThreadPool pool;
  int64_t rows, cols;
  std::vector<float> w;
  InputStatistics inputs;
};

}  // namespace aquatint::quant
