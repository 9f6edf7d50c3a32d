// Token strings → text.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

namespace aquatint::text {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Rewrites the list of token strings; the text is what is left, joined.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

// From the "decoder" of tokenizer.json; null gives null (tokens are then joined by blanks, as the library
// does). BadInput when malformed or of an unsupported kind.
std::unique_ptr<Decoder> make_decoder(const base::Json& stage, const std::string& where);

}  // namespace aquatint::text
