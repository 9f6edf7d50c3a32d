// config.json: any numbers must give a decoder that can be sized, or an error.
#include "fuzz.h"
#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return aquatint::fuzz::refuse_or_parse([&] {
    aquatint::model::parse_config(aquatint::base::parse_json(aquatint::fuzz::text(data, size), "fuzz"),
                                  "fuzz");
  });
}
