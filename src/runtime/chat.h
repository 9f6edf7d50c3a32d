// A checkpoint's chat template with the special tokens that it may name.
#pragma once
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "text/chat_template.h"

namespace aquatint::runtime {

class Chat {
 public:
  // From chat_template.jinja, else tokenizer_config.json's "chat_template" (a string, or a list of named ones
  // of which "default" is taken). Null when the checkpoint has none; BadInput when it does not parse.
  static std::unique_ptr<Chat> load(const checkpoint::Checkpoint& checkpoint);

  // `messages` is [{"role": …, "content": …}, …]. The result holds its own special tokens: encode it without
  // adding any. BadInput when the template refuses the messages.
  std::string render(const nlohmann::ordered_json& messages, bool add_generation_prompt) const;

 private:
  Chat(const std::string& source, const std::string& where, nlohmann::ordered_json variables)
      : template_(source, where), variables_(std::move(variables)) {}

  text::ChatTemplate template_;
  nlohmann::ordered_json variables_;  // special tokens by name: {"bos_token": "<s>", …}
};

}  // namespace aquatint::runtime
