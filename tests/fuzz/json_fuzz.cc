#include "base/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return aquatint::fuzz::refuse_or_parse(
      [&] { aquatint::base::parse_json(aquatint::fuzz::text(data, size), "fuzz"); });
}
