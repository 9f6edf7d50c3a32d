// Memory for packed weights: many matrices share 2 MiB-aligned chunks that ask for huge pages, so that small
// ones do not each waste a huge page. Pages are not touched here: whoever writes first owns them (NUMA).
#pragma once
#include <cstddef>
#include <memory>

namespace aquatint::kernels {

// `bytes` zero bytes aligned to 64. Throws OutOfResource. A chunk is freed with the last piece of it.
std::shared_ptr<std::byte> arena_allocate(size_t bytes);

}  // namespace aquatint::kernels
