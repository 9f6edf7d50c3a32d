// Bytes that are either owned or borrowed from something kept alive elsewhere (a mapped file).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace aquatint::tensor {

class Storage {
 public:
  Storage() = default;
  static Storage owned(size_t bytes) {
    Storage s;
    s.owned_ = std::make_shared<std::vector<std::byte>>(bytes);
    s.bytes_ = *s.owned_;
    return s;
  }
  // `bytes` must outlive every copy; `keep_alive` may hold their owner.
  static Storage borrowed(base::Bytes bytes, std::shared_ptr<const void> keep_alive = nullptr) {
    Storage s;
    s.bytes_ = bytes;
    s.keep_alive_ = std::move(keep_alive);
    return s;
  }
  template <class T>
  static Storage copy_of(std::span<const T> values) {
    Storage s = owned(values.size_bytes());
    if (!values.empty()) std::memcpy(s.owned_->data(), values.data(), values.size_bytes());
    return s;
  }

  base::Bytes bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  const uint8_t* u8() const { return reinterpret_cast<const uint8_t*>(bytes_.data()); }
  // Writable view of owned bytes.
  uint8_t* mutable_u8() { return owned_ ? reinterpret_cast<uint8_t*>(owned_->data()) : nullptr; }
  bool is_owned() const { return owned_ != nullptr; }

 private:
  std::shared_ptr<std::vector<std::byte>> owned_;
  base::Bytes bytes_;
  std::shared_ptr<const void> keep_alive_;
};

}  // namespace aquatint::tensor
