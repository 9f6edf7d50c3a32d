// What a person sees on standard error: log lines, and progress as a bar with rate and ETA on a terminal, as
// plain lines elsewhere. Results go to standard output through print_result().
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"

namespace aquatint::cli {

struct ConsoleOptions {
  bool quiet = false;     // warnings and errors only
  bool log_json = false;  // one JSON object a line instead of text
};

// Installs the log and progress sinks of base, and handlers that turn SIGINT and SIGTERM into Interrupted.
void install_console(const ConsoleOptions& options);

// Ends a progress bar that is still on the line.
void finish_progress();

void print_error(std::string_view message);
void print_result(std::string_view text);
void print_json(const base::Json& result);

}  // namespace aquatint::cli
