// What KernelSet::add_magnitudes() finds of the columns of some rows, in the kernels' memory.
#pragma once
#include "model/model.h"

namespace aquatint::model {

struct ColumnMagnitudes {
  ColumnMagnitudes(const Backend& to_run, int64_t columns)
      : backend(to_run),
        sums(backend.memory(), static_cast<size_t>(columns), "sums of columns"),
        squares(backend.memory(), static_cast<size_t>(columns), "sums of columns"),
        largest(backend.memory(), static_cast<size_t>(columns), "the largest of columns") {}

  // x is [rows][columns], in that memory too.
  void add(const float* x, int64_t rows) const {
    backend.kernels->add_magnitudes(x, rows, static_cast<int64_t>(largest.size()),
                                    {sums.data(), squares.data(), largest.data()}, *backend.pool);
  }

  const Backend& backend;
  kernels::Array<double> sums, squares;
  kernels::Array<float> largest;
};

}  // namespace aquatint::model
