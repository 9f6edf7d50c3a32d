// A model seen with its output head in 8 bits: int8, one scale per row, rounded to nearest. GGUF files hold
// the head that way, so speeds compare at equal bytes. The embedding stays as it is.
#pragma once
#include <memory>

#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"

namespace aquatint::bench {

// `pool` must outlive the result.
std::shared_ptr<const checkpoint::Checkpoint> with_int8_head(
    std::shared_ptr<const checkpoint::Checkpoint> source, base::ThreadPool& pool);

}  // namespace aquatint::bench
