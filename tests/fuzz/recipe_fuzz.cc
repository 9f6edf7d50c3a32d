// Recipe files of both dialects, and the canonical form of what they say.
#include "base/error.h"
#include "fuzz.h"
#include "quant/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return aquatint::fuzz::refuse_or_parse([&] {
    using namespace aquatint::quant;
    const Recipe recipe = parse_recipe(aquatint::fuzz::text(data, size), "fuzz");
    const aquatint::base::Json canonical = to_json(recipe);
    AQ_CHECK(to_json(parse_recipe(canonical.dump(), "canonical")) == canonical, "not canonical: {}",
             canonical.dump());
  });
}
