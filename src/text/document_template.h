// Templates over the fields of one document, as evaluation tasks are written: Jinja with white space as it
// stands, names that the document lacks refused, and lm-evaluation-harness' filter regex_replace(pattern,
// replacement). The same sandbox and limits as for chat templates.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace aquatint::text {

namespace jinja {
class Program;
}

class DocumentTemplate {
 public:
  // BadInput ("where:line: …") when the template does not parse.
  DocumentTemplate(std::string_view source, const std::string& where);
  DocumentTemplate(DocumentTemplate&&) noexcept;
  DocumentTemplate& operator=(DocumentTemplate&&) noexcept;
  ~DocumentTemplate();

  // BadInput ("where:line: …") when the template raises or a limit is reached.
  std::string render(const nlohmann::ordered_json& document) const;
  // Of a template that is one {{ expression }} and nothing else its value, which may be a list or a number;
  // else the text.
  nlohmann::ordered_json value(const nlohmann::ordered_json& document) const;

 private:
  std::unique_ptr<jinja::Program> program_;
};

}  // namespace aquatint::text
