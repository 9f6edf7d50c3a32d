#include "kernels/memory.h"

#include <sys/mman.h>

#include <cstdlib>

#include "base/bytes.h"
#include "base/error.h"

namespace aquatint::kernels {
namespace {

constexpr uint64_t kAlignment = 256;
constexpr int64_t kHugePage = int64_t{2} << 20;

// Attention reads a long cache from end to end for every token; small pages cost it about a tenth.
void ask_for_huge_pages(std::byte* begin, uint64_t bytes) {
  const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(begin));
  const int64_t before = base::round_up(address, kHugePage) - address;
  const int64_t whole = (static_cast<int64_t>(bytes) - before) / kHugePage * kHugePage;
  if (whole > 0) madvise(begin + before, static_cast<size_t>(whole), MADV_HUGEPAGE);  // advice only
}

class Host final : public Memory {
 public:
  bool is_host() const override { return true; }

  // calloc gives untouched zero pages. A block lies behind a word that says where calloc's begins, and has a
  // spare end: a kernel may load a whole vector past the last number.
  std::byte* allocate(uint64_t bytes, std::string_view what, std::string_view advice) const override {
    if (bytes == 0) return nullptr;
    auto* whole = bytes < uint64_t{INT64_MAX}
                      ? static_cast<std::byte*>(std::calloc(bytes + 2 * kAlignment, 1))
                      : nullptr;
    if (!whole) throw base::OutOfResource(fmt::format("no memory for {} ({} bytes){}", what, bytes, advice));
    const uint64_t gap = kAlignment - reinterpret_cast<uintptr_t>(whole) % kAlignment;
    std::byte* data = whole + gap;
    std::memcpy(data - sizeof(whole), &whole, sizeof(whole));
    ask_for_huge_pages(data, bytes);
    return data;
  }
  void release(std::byte* memory) const override {
    if (!memory) return;
    std::byte* whole = nullptr;
    std::memcpy(&whole, memory - sizeof(whole), sizeof(whole));
    std::free(whole);
  }
  void write(void* to, const void* from, uint64_t bytes) const override { std::memcpy(to, from, bytes); }
  void read(void* to, const void* from, uint64_t bytes) const override { std::memcpy(to, from, bytes); }
  void copy_runs(std::byte* to, uint64_t to_step, const std::byte* from, uint64_t from_step, uint64_t bytes,
                 uint64_t count) const override {
    for (uint64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, bytes);
  }
};

}  // namespace

const Memory& host_memory() {
  static const Host host;
  return host;
}

}  // namespace aquatint::kernels
