// Stage 1 of a tokenizer: text → text.
#pragma once
#include <memory>
#include <string>

#include "base/json.h"

namespace aquatint::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // `text` is well-formed UTF-8 and so is the result.
  virtual std::string apply(std::string text) const = 0;
};

// From the "normalizer" of tokenizer.json; null gives null. BadInput when malformed or of an unsupported
// kind.
std::unique_ptr<Normalizer> make_normalizer(const base::Json& stage, const std::string& where);

}  // namespace aquatint::text
