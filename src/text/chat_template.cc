#include "text/chat_template.h"

#include "text/jinja/program.h"

namespace aquatint::text {

ChatTemplate::ChatTemplate(std::string_view source, const std::string& where)
    : program_(std::make_unique<jinja::Program>(source, where, jinja::Dialect::chat)) {}

ChatTemplate::~ChatTemplate() = default;

std::string ChatTemplate::render(const nlohmann::ordered_json& variables) const {
  return program_->render(variables);
}

}  // namespace aquatint::text
