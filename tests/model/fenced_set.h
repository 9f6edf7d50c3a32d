// A kernel set whose memory the host cannot touch: the scalar kernels over pages that are closed except while
// a kernel or a copy runs. What is between the kernels and looks into a device's memory ends in a
// segmentation fault here, on every machine.
#pragma once
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <numeric>
#include <vector>

#include "kernels/ops.h"

namespace aquatint::test {

class FencedMemory final : public kernels::Memory {
 public:
  // While one is there, the pages are open.
  class Open {
   public:
    Open() { set(PROT_READ | PROT_WRITE); }
    ~Open() { set(PROT_NONE); }

   private:
    static void set(int protection) {
      FencedMemory& m = instance();
      if (mprotect(m.begin_, m.end_, protection) != 0) std::abort();
    }
  };

  static FencedMemory& instance() {
    static FencedMemory memory;
    return memory;
  }

  bool is_host() const override { return false; }
  std::byte* allocate(uint64_t bytes, std::string_view, std::string_view) const override {
    if (bytes == 0) return nullptr;
    return const_cast<FencedMemory*>(this)->take((bytes + kPage - 1) / kPage * kPage);
  }
  void release(std::byte* memory) const override {
    if (!memory) return;
    auto& m = const_cast<FencedMemory&>(*this);
    madvise(memory, m.sizes_.at(memory), MADV_DONTNEED);  // the fewer pages there are, the faster they open
    m.free_.emplace(m.sizes_.at(memory), memory);
    m.sizes_.erase(memory);
  }
  void write(void* to, const void* from, uint64_t bytes) const override {
    const Open open;
    std::memcpy(to, from, bytes);
  }
  void read(void* to, const void* from, uint64_t bytes) const override {
    const Open open;
    std::memcpy(to, from, bytes);
  }
  void copy_runs(std::byte* to, uint64_t to_step, const std::byte* from, uint64_t from_step, uint64_t bytes,
                 uint64_t count) const override {
    const Open open;
    for (uint64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, bytes);
  }

 private:
  static constexpr uint64_t kPage = 4096, kBytes = uint64_t{4} << 30;

  FencedMemory()
      : begin_(static_cast<std::byte*>(
            mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    if (begin_ == MAP_FAILED) throw std::bad_alloc();
  }
  std::byte* take(uint64_t bytes) {
    std::byte* block = nullptr;
    if (const auto kept = free_.find(bytes); kept != free_.end()) {
      block = kept->second;
      free_.erase(kept);
    } else {
      if (bytes > kBytes - end_) throw std::bad_alloc();
      block = begin_ + end_;
      end_ += bytes;
    }
    sizes_[block] = bytes;
    const Open open;
    std::memset(block, 0, bytes);
    return block;
  }

  std::byte* begin_;
  uint64_t end_ = 0;
  std::multimap<uint64_t, std::byte*> free_;
  std::map<std::byte*, uint64_t> sizes_;
};

inline const kernels::Memory& fenced_memory() { return FencedMemory::instance(); }

// A slot with open pages.
template <auto member>
struct Opened;
template <class... Args, void (*kernels::KernelSet::*member)(Args...)>
struct Opened<member> {
  static void call(Args... args) {
    const FencedMemory::Open open;
    (kernels::kernel_set("scalar").*member)(args...);
  }
};

// Spans as a device reads them: from where they were placed.
inline kernels::Spans placed(const kernels::Spans& spans) {
  return {{spans.placed, spans.list.size()}, spans.placed};
}

inline const kernels::KernelSet& fenced_set() {
  using kernels::KernelSet;
  static const KernelSet set = [] {
    KernelSet s = kernels::kernel_set("scalar");
    s.name = "fenced";
    s.memory = fenced_memory;
    s.rows_per_step = 100;
    s.linear = Opened<&KernelSet::linear>::call;
    s.rms_norm = Opened<&KernelSet::rms_norm>::call;
    s.rms_norm_runs = Opened<&KernelSet::rms_norm_runs>::call;
    s.rope = Opened<&KernelSet::rope>::call;
    s.rotate_runs = Opened<&KernelSet::rotate_runs>::call;
    s.swiglu = Opened<&KernelSet::swiglu>::call;
    s.logit_stats = Opened<&KernelSet::logit_stats>::call;
    s.divergence = Opened<&KernelSet::divergence>::call;
    s.add_product = Opened<&KernelSet::add_product>::call;
    s.add_product_fp64 = Opened<&KernelSet::add_product_fp64>::call;
    s.add_cross = Opened<&KernelSet::add_cross>::call;
    s.add_magnitudes = Opened<&KernelSet::add_magnitudes>::call;
    s.store_kv = [](const kernels::Spans& spans, const kernels::AttentionShape& shape, const float* k,
                    const float* v, int64_t stride, base::ThreadPool& pool) {
      const FencedMemory::Open open;
      kernels::kernel_set("scalar").store_kv(placed(spans), shape, k, v, stride, pool);
    };
    s.rope_store_kv = [](const kernels::Spans& spans, const kernels::AttentionShape& shape,
                         const float* inv_freq, float attention_factor, float* qkv, int64_t stride,
                         base::ThreadPool& pool) {
      const FencedMemory::Open open;
      const kernels::KernelSet& scalar = kernels::kernel_set("scalar");
      const kernels::Spans on = placed(spans);
      for (const kernels::AttentionSpan& span : on.list) {
        std::vector<int32_t> positions(static_cast<size_t>(span.rows));
        std::iota(positions.begin(), positions.end(), static_cast<int32_t>(span.position));
        scalar.rope(qkv + span.first_row * stride, span.rows, stride, shape.heads + shape.kv_heads,
                    shape.head_dim, positions.data(), inv_freq, attention_factor, pool);
      }
      const float* k = qkv + shape.heads * shape.head_dim;
      scalar.store_kv(on, shape, k, k + shape.kv_heads * shape.head_dim, stride, pool);
    };
    s.attention = [](const kernels::Spans& spans, const kernels::AttentionShape& shape,
                     kernels::Precision precision, kernels::Phase phase, const float* q, int64_t q_stride,
                     float* out, base::ThreadPool& pool) {
      const FencedMemory::Open open;
      kernels::kernel_set("scalar").attention(placed(spans), shape, precision, phase, q, q_stride, out, pool);
    };
    return s;
  }();
  return set;
}

// Every set that this machine can run, and the fenced one.
inline std::vector<const kernels::KernelSet*> usable_sets() {
  std::vector<const kernels::KernelSet*> sets;
  for (const kernels::KernelSet* set : kernels::kernel_sets())
    if (set->usable()) sets.push_back(set);
  sets.push_back(&fenced_set());
  return sets;
}

}  // namespace aquatint::test
