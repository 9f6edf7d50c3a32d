// Loops that do nothing but read, or multiply and add, as fast as one instruction allows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace aquatint::kernels {

constexpr int kOperandBytes = 2048;

struct Probe {
  std::string_view type;  // "read", "fp32", "bf16", "int8"
  std::string_view unit;  // the instruction
  std::span<const std::string_view> needs;
  // Reads `count` bytes of the buffer, or does `count` steps with the operands that lie in it (kOperandBytes);
  // returns bytes or operations done.
  double (*run)(const std::byte* buffer, int64_t count);
};

std::span<const Probe> compute_probes();
std::span<const Probe> read_probes();  // best first; the last one needs nothing

}  // namespace aquatint::kernels
