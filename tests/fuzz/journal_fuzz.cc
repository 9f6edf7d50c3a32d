#include "base/journal.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return aquatint::fuzz::refuse_or_parse([&] {
    uint64_t bytes = 0;
    aquatint::base::parse_journal(aquatint::fuzz::text(data, size), bytes);
  });
}
