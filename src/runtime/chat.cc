#include "runtime/chat.h"

#include "base/error.h"
#include "runtime/text_io.h"

namespace aquatint::runtime {
namespace {

using base::Json;

// "chat_template": "…" or [{"name": "default", "template": "…"}, …].
const std::string* template_of(const Json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return nullptr;
  if (found->is_string()) return found->get_ptr<const std::string*>();
  if (!found->is_array()) return nullptr;
  for (const Json& entry : *found)
    if (entry.is_object() && entry.value("name", Json()) == "default" && entry.contains("template"))
      return entry["template"].get_ptr<const std::string*>();
  return nullptr;
}

// A token is a string, or an object with the string under "content".
nlohmann::ordered_json special_tokens(const Json& config) {
  nlohmann::ordered_json tokens = nlohmann::ordered_json::object();
  for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    const auto found = config.find(name);
    if (found == config.end()) continue;
    const Json& token = found->is_object() && found->contains("content") ? (*found)["content"] : *found;
    if (token.is_string()) tokens[name] = token.get<std::string>();
  }
  return tokens;
}

}  // namespace

std::unique_ptr<Chat> Chat::load(const checkpoint::Checkpoint& checkpoint) {
  const Json config = side_json(checkpoint, "tokenizer_config.json");
  const std::string path = checkpoint.path().string();
  if (const checkpoint::SideFile* file = checkpoint.side_file("chat_template.jinja"))
    return std::unique_ptr<Chat>(
        new Chat(file->bytes, path + ": chat_template.jinja", special_tokens(config)));
  if (const std::string* source = template_of(config))
    return std::unique_ptr<Chat>(new Chat(*source, path + ": tokenizer_config.json", special_tokens(config)));
  return nullptr;
}

std::string Chat::render(const nlohmann::ordered_json& messages, bool add_generation_prompt) const {
  nlohmann::ordered_json variables = variables_;
  variables["messages"] = messages;
  variables["tools"] = variables["documents"] = nullptr;  // as transformers passes them when there are none
  variables["add_generation_prompt"] = add_generation_prompt;
  return template_.render(variables);
}

}  // namespace aquatint::runtime
