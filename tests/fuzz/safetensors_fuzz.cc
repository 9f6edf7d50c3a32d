#include "checkpoint/safetensors.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return aquatint::fuzz::refuse_or_parse(
      [&] { aquatint::checkpoint::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz"); });
}
