#include "checkpoint/layouts/module_patterns.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "base/error.h"

namespace aquatint::checkpoint {
using base::BadInput;

struct ModulePatterns::Expression {
  Expression(const std::string& text, const std::string& where) : text_(text), where_(where) {
    int error = 0;
    PCRE2_SIZE at = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_ANCHORED | PCRE2_UTF,
                          &error, &at, nullptr);
    if (!code_)
      throw BadInput(fmt::format("{}: expression \"{}\" is wrong at character {}", where, text, at));
    data_ = pcre2_match_data_create(1, nullptr);
    context_ = pcre2_match_context_create(nullptr);
    pcre2_set_match_limit(context_,
                          100'000);  // a module name needs a few hundred steps; a hostile expression, no end
  }
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;
  ~Expression() {
    pcre2_match_context_free(context_);
    pcre2_match_data_free(data_);
    pcre2_code_free(code_);
  }

  bool matches(std::string_view name) const {
    const int rc =
        pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0, data_, context_);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
      throw BadInput(fmt::format("{}: expression \"{}\" cannot be matched against '{}' (PCRE2 error {})",
                                 where_, text_, name, rc));
    return rc >= 0;
  }

 private:
  std::string text_, where_;
  pcre2_code* code_ = nullptr;
  pcre2_match_data* data_ = nullptr;
  pcre2_match_context* context_ = nullptr;
};

ModulePatterns::ModulePatterns(const std::vector<std::string>& patterns, const std::string& where) {
  for (const std::string& pattern : patterns) {
    if (pattern.starts_with("re:"))
      expressions_.push_back(std::make_unique<Expression>(pattern.substr(3), where));
    else
      names_.push_back(pattern);
  }
}
ModulePatterns::ModulePatterns(ModulePatterns&&) noexcept = default;
ModulePatterns::~ModulePatterns() = default;

bool ModulePatterns::match_name(std::string_view module) const {
  return match_class(module) || std::any_of(expressions_.begin(), expressions_.end(),
                                            [&](const auto& e) { return e->matches(module); });
}

bool ModulePatterns::match_class(std::string_view class_name) const {
  return std::find(names_.begin(), names_.end(), class_name) != names_.end();
}

}  // namespace aquatint::checkpoint
