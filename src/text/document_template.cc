#include "text/document_template.h"

#include "text/jinja/program.h"

namespace aquatint::text {

DocumentTemplate::DocumentTemplate(std::string_view source, const std::string& where)
    : program_(std::make_unique<jinja::Program>(source, where, jinja::Dialect::document)) {}

DocumentTemplate::DocumentTemplate(DocumentTemplate&&) noexcept = default;
DocumentTemplate& DocumentTemplate::operator=(DocumentTemplate&&) noexcept = default;
DocumentTemplate::~DocumentTemplate() = default;

std::string DocumentTemplate::render(const nlohmann::ordered_json& document) const {
  return program_->render(document);
}

nlohmann::ordered_json DocumentTemplate::value(const nlohmann::ordered_json& document) const {
  return program_->value(document);
}

}  // namespace aquatint::text
