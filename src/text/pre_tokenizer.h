// Stage 2 of a tokenizer: text → pieces, the words that the model works on one by one.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/regex.h"

namespace aquatint::text {

// Non-empty pieces of `text`, in order, not overlapping; bytes outside of them are dropped.
struct Pieces {
  std::string text;
  std::vector<Span> spans;
  bool starts_input =
      false;  // byte 0 of `text` is the start of the whole input, not of what follows an added token
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

// From the "pre_tokenizer" of tokenizer.json; null gives null. BadInput when malformed or of an unsupported
// kind.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const base::Json& stage, const std::string& where);

}  // namespace aquatint::text
