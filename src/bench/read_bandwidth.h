// Internal to the room.
#pragma once
#include <cstdint>

#include "base/thread_pool.h"

namespace aquatint::bench {

// Best of many passes in which all threads of the pool together read a buffer once; 10⁹ bytes/s. The buffer
// takes `bytes` rounded up to 4 MiB. OutOfResource when it cannot be had.
double measure_read_gb_s(base::ThreadPool& pool, uint64_t bytes);

}  // namespace aquatint::bench
