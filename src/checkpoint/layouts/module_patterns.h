// How compressed-tensors names modules: "re:" and a Python regular expression matched from the start of the
// name, an exact name, or a class (utils/match.py of compressed-tensors).
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace aquatint::checkpoint {

class ModulePatterns {
 public:
  // BadInput (with `where`) for an expression that does not compile.
  ModulePatterns(const std::vector<std::string>& patterns, const std::string& where);
  ModulePatterns(ModulePatterns&&) noexcept;
  ~ModulePatterns();

  bool match_name(std::string_view module) const;  // by expression or exact name
  bool match_class(std::string_view class_name) const;

 private:
  struct Expression;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<Expression>> expressions_;
};

}  // namespace aquatint::checkpoint
