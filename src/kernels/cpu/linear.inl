// The linear of sets that have no prompt kernels of their own. Included inside an instruction set's namespace.

inline void linear(const PackedMatrix& matrix, const float* x, int64_t rows, Phase phase, const float* bias,
                   bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool) {
  const auto& w = static_cast<const Packed&>(matrix);
  if (phase == Phase::decode)
    linear_decode(w, x, rows, bias, accumulate, y, y_row, pool);
  else
    linear_prefill(w, [](const Block&) { return true; }, x, rows, bias, accumulate, y, y_row, pool);
  add_outliers(w, x, rows, y, y_row, pool);
}
