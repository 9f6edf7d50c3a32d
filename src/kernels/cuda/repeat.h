// Work that repeats. A decode step starts some hundred kernels whose arguments are those of the step before:
// starting them one by one takes the host longer than they run. repeat() first only notes what would be
// started; what was noted before is started at once, as a CUDA graph.
//
// So operations look at `notes` first, and work that repeats reads what changes (tokens, positions, lengths)
// from the device's memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

namespace aquatint::kernels::cuda {

// Operations in their order, as one number: kernels, sizes and arguments, not what pointers point to.
class Notes {
 public:
  template <class T>
  void add(T value) {
    __builtin_clear_padding(&value);
    for (size_t at = 0; at < sizeof(T); at += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, reinterpret_cast<const char*>(&value) + at,
                  sizeof(T) - at < sizeof(word) ? sizeof(T) - at : sizeof(word));
      low_ = mixed(low_ ^ word);
      high_ = mixed(high_ + word);
    }
  }
  // Something was done, not only noted: it is not there the next time.
  void add_done() { done_ = true; }
  bool done() const { return done_; }

  struct Key {
    uint64_t low, high;
    bool operator<(const Key& other) const { return low != other.low ? low < other.low : high < other.high; }
    bool operator==(const Key& other) const { return low == other.low && high == other.high; }
  };
  Key key() const { return {low_, high_}; }

 private:
  // One step of MurmurHash3's finalizer.
  static uint64_t mixed(uint64_t x) {
    x *= 0xff51afd7ed558ccdu;
    return x ^ x >> 33;
  }
  uint64_t low_ = 0x9e3779b97f4a7c15u, high_ = 0xc2b2ae3d27d4eb4fu;
  bool done_ = false;
};

// Where operations are noted instead of done; null: they are done.
inline Notes* notes = nullptr;

// What body() would put into the stream.
inline Notes noted(const std::function<void()>& body) {
  struct Taking {
    explicit Taking(Notes& n) { notes = &n; }
    ~Taking() { notes = nullptr; }
  };
  Notes taken;
  const Taking taking(taken);
  body();
  return taken;
}

// Does what body() does.
void repeat(const std::function<void()>& body);

}  // namespace aquatint::kernels::cuda
