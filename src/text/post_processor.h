// Last stage of encoding: the special tokens around a text.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace aquatint::text {

class PostProcessor {
 public:
  // From the "post_processor" of tokenizer.json: TemplateProcessing (its form for one text), BertProcessing,
  // RobertaProcessing, ByteLevel (concerns offsets only), Sequence; null adds nothing. BadInput otherwise.
  PostProcessor(const base::Json& stage, const std::string& where);

  std::vector<int32_t> apply(std::vector<int32_t> ids) const;
  std::optional<int32_t> first() const;  // the first token put before the text

 private:
  void add(const base::Json& stage, const std::string& where);
  void add_template(const base::Json& stage, const std::string& where);
  void add_pair(const base::Json& stage, const std::string& where);

  std::vector<int32_t> before_, after_;
};

}  // namespace aquatint::text
