// What can go wrong, by who must act. The library throws; only cli/ and serve/ turn these into exit codes
// and responses. Every message is one line that names the file, the place, what was found, what was expected
// and what to do next.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace aquatint::base {

class Error : public std::runtime_error {
 public:
  Error(int exit_code, const std::string& message) : std::runtime_error(message), exit_code_(exit_code) {}
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
};

// Wrong usage: an option, a name, a combination.
struct BadUsage : Error {
  explicit BadUsage(const std::string& message) : Error(2, message) {}
};

// A file from outside is malformed, unsupported or contradicts itself.
struct BadInput : Error {
  explicit BadInput(const std::string& message) : Error(3, message) {}
};

// Out of memory, disk or budget.
struct OutOfResource : Error {
  explicit OutOfResource(const std::string& message) : Error(4, message) {}
};

// A quality or speed gate was missed.
struct GateMissed : Error {
  explicit GateMissed(const std::string& message) : Error(5, message) {}
};

// The user asked to stop (SIGINT, SIGTERM); finished work is kept.
struct Interrupted : Error {
  Interrupted() : Error(130, "interrupted") {}
};

// Our own bug: never thrown for bad input.
[[noreturn]] void check_failed(const char* condition, const char* file, int line, const std::string& message);

}  // namespace aquatint::base

#define AQ_CHECK(condition, ...)                                                                     \
  do {                                                                                               \
    if (!(condition)) [[unlikely]]                                                                   \
      ::aquatint::base::check_failed(#condition, __FILE__, __LINE__, ::fmt::format("" __VA_ARGS__)); \
  } while (0)
