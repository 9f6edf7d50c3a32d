#include "quant/methods/columns_behind.h"

#include <vector>

#include "kernels/copy_rows.h"
#include "model/dense.h"

namespace aquatint::quant {
namespace {

class OnHost final : public ColumnsBehind {
 public:
  OnHost(View<float> w, std::span<const float> upper, const model::Backend& backend)
      : w_(w), upper_(upper), backend_(backend) {}

  void fetch(int64_t, int64_t) override {}
  void add(const float* errors, int64_t begin, int64_t end) override {
    const int64_t behind = w_.cols - end;
    add_cross_fp32({errors, end - begin, w_.rows, w_.rows},
                   {upper_.data() + begin * w_.cols + end, end - begin, behind, w_.cols},
                   {w_.values + end, w_.rows, behind, w_.stride}, backend_);
  }

 private:
  View<float> w_;
  std::span<const float> upper_;
  const model::Backend& backend_;
};

class OnDevice final : public ColumnsBehind {
 public:
  OnDevice(View<float> w, std::span<const float> upper, const model::Backend& backend)
      : w_(w),
        upper_(upper),
        backend_(backend),
        weights_(backend.memory(), std::span<const float>(w.values, static_cast<size_t>(w.rows * w.cols)),
                 "rows of a weight") {}

  void fetch(int64_t begin, int64_t end) override {
    const kernels::Memory& memory = backend_.memory();
    const int64_t columns = end - begin;
    fetched_.reserve(memory, static_cast<size_t>(w_.rows * columns), "columns of a weight");
    kernels::copy_rows<float>(memory, fetched_.data(), columns, weights_.data() + begin, w_.cols, columns,
                              w_.rows);
    std::vector<float> found(static_cast<size_t>(w_.rows * columns));
    fetched_.read(found);
    for (int64_t r = 0; r < w_.rows; ++r)
      std::copy_n(found.data() + r * columns, columns, w_.values + r * w_.stride + begin);
  }

  void add(const float* errors, int64_t begin, int64_t end) override {
    const kernels::Memory& memory = backend_.memory();
    const int64_t columns = end - begin, size = columns * w_.cols;
    const std::vector<float> turned = model::transposed(errors, columns, w_.rows, *backend_.pool);
    errors_.reserve(memory, turned.size(), "errors of a weight");
    errors_.write(turned);
    of_stretch_.reserve(memory, static_cast<size_t>(size), "a part of a factor");
    of_stretch_.write(upper_.subspan(static_cast<size_t>(begin * w_.cols), static_cast<size_t>(size)));
    backend_.kernels->add_product({errors_.data(), columns, of_stretch_.data() + end, w_.cols,
                                   weights_.data() + end, w_.cols, w_.rows, w_.cols - end, columns});
  }

 private:
  View<float> w_;
  std::span<const float> upper_;
  const model::Backend& backend_;
  kernels::Array<float> weights_, fetched_, errors_, of_stretch_;
};

}  // namespace

std::unique_ptr<ColumnsBehind> columns_behind(View<float> w, std::span<const float> upper,
                                              const model::Backend& backend) {
  if (backend.memory().is_host()) return std::make_unique<OnHost>(w, upper, backend);
  return std::make_unique<OnDevice>(w, upper, backend);
}

}  // namespace aquatint::quant
