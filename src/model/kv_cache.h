// Keys and values of one sequence in all layers.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/ops.h"
#include "model/config.h"

namespace aquatint::model {

// Its length is what has been run through the model. Memory is reserved at once, and the host's only touched
// as tokens come.
class KvCache {
 public:
  // `rewind`: how many of the latest tokens truncate() may forget when it does not forget all; only int4
  // asks, whose latest tokens must then stay in 16 bit. OutOfResource when the memory is not there.
  KvCache(const Config& config, int64_t capacity, kernels::KvFormat format, const kernels::Memory& memory,
          int64_t rewind = 0);

  int64_t length() const { return length_; }
  int64_t capacity() const { return capacity_; }
  void truncate(int64_t length);  // forgets later tokens; 0 starts over
  // A cache that holds the same tokens and goes on by itself. Not of int4, whose latest tokens lie in a ring.
  KvCache fork(const Config& config, int64_t capacity) const;
  static bool can_fork(kernels::KvFormat format) { return format != kernels::KvFormat::int4; }
  kernels::KvView view() const;
  static uint64_t bytes(const Config& config, int64_t capacity, kernels::KvFormat format, int64_t rewind = 0);

 private:
  friend class Model;
  friend class StagedBlock;

  const kernels::Memory* memory_;
  kernels::KvFormat format_;
  int64_t capacity_ = 0, rewind_ = 0, recent_ = 0, length_ = 0;
  kernels::Array<std::byte> data_;
};

}  // namespace aquatint::model
