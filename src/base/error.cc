#include "base/error.h"

namespace aquatint::base {

void check_failed(const char* condition, const char* file, int line, const std::string& message) {
  throw std::logic_error(fmt::format("internal error at {}:{}: {} {}", file, line, condition, message));
}

}  // namespace aquatint::base
