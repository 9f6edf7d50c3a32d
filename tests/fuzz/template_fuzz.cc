// A chat template, rendered with a conversation.
#include "fuzz.h"
#include "text/chat_template.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto variables = nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Größe? "},
                 {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": 1.5}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": []}}}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true})");
  return aquatint::fuzz::refuse_or_parse(
      [&] { aquatint::text::ChatTemplate(aquatint::fuzz::text(data, size), "fuzz").render(variables); });
}
