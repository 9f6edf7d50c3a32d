// Chat templates: a sandboxed interpreter of the Jinja subset that model templates use, with limits on steps, depth and
// output. No access to anything but its inputs.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"

namespace aquatint::text {

class ChatTemplate {
 public:
  // BadInput (with line and column) when the template does not parse.
  ChatTemplate(std::string_view source, const std::string& where);
  ~ChatTemplate();

  // `variables` holds messages, tools, bos_token, eos_token, add_generation_prompt, …, as transformers passes them
  // (trim_blocks and lstrip_blocks on). BadInput when the template raises or a limit is reached.
  std::string render(const base::Json& variables) const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

}  // namespace aquatint::text
