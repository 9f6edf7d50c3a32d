// Chat templates: a sandboxed interpreter of the Jinja subset that model templates use, with limits on work,
// depth and output. No access to anything but its inputs (and the local clock, through strftime_now).
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace aquatint::text {

namespace jinja {
class Program;
}

class ChatTemplate {
 public:
  // BadInput ("where:line: …") when the template does not parse.
  ChatTemplate(std::string_view source, const std::string& where);
  ~ChatTemplate();

  // `variables` holds messages, tools, bos_token, eos_token, add_generation_prompt, …, as transformers passes
  // them (trim_blocks and lstrip_blocks on). Keys keep their order, which tojson shows. BadInput
  // ("where:line: …") when the template raises or a limit is reached. Safe to call from several threads.
  std::string render(const nlohmann::ordered_json& variables) const;

 private:
  std::unique_ptr<jinja::Program> program_;
};

}  // namespace aquatint::text
