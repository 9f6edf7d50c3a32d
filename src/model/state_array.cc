#include "model/state_array.h"

#include <algorithm>

#include "kernels/copy_rows.h"

namespace aquatint::model {
namespace {

constexpr std::string_view kWhat = "the states of the calibration tokens";

}  // namespace

StateArray::StateArray(size_t count, const StatePlace& place) : size_(count), device_(place.device) {
  if (device_)
    values_ = kernels::Array<float>(*device_, count, kWhat);
  else
    host_ = base::FloatArray(count, place.spill);
}

void StateArray::reuse(size_t count, const StatePlace& place) {
  size_ = count;
  device_ = place.device;
  if (device_)
    values_.reserve(*device_, count, kWhat);
  else
    host_.reuse(count, place.spill);
}

void StateArray::copy(const StateArray& from) {
  if (device_) return kernels::copy_numbers<float>(*device_, values_.data(), from.values_.data(), size_);
  constexpr size_t kPiece = size_t{1} << 22;
  for (size_t first = 0; first < size_; first += kPiece) {
    const size_t count = std::min(kPiece, size_ - first);
    std::copy_n(from.host_.data() + first, count, host_.data() + first);
    from.host_.release(first, count);
    host_.release(first, count);
  }
}

void StateArray::take(size_t first, size_t count, const kernels::Array<float>& to,
                      const kernels::Memory& memory) const {
  if (device_) return kernels::copy_numbers<float>(memory, to.data(), values_.data() + first, count);
  to.write({host_.data() + first, count});
  host_.release(first, count);
}

void StateArray::put(size_t first, size_t count, const kernels::Array<float>& from,
                     const kernels::Memory& memory) {
  if (device_) return kernels::copy_numbers<float>(memory, values_.data() + first, from.data(), count);
  from.read({host_.data() + first, count});
  host_.release(first, count);
}

void StateArray::read(size_t first, std::span<float> to) const {
  if (device_) return values_.read(to, first);
  std::copy_n(host_.data() + first, to.size(), to.data());
}

void StateArray::write(size_t first, std::span<const float> from) {
  if (device_) return values_.write(from, first);
  std::copy_n(from.data(), from.size(), host_.data() + first);
}

}  // namespace aquatint::model
