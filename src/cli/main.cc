// The one place where errors become exit codes: 0 done, 2 usage, 3 bad input, 4 out of a resource, 5 gate
// missed, 130 interrupted.
#include <new>

#include "base/error.h"
#include "base/machine.h"
#include "cli/command.h"

namespace aquatint::cli {
namespace {

// CLI11 would only say that a subcommand is required.
void check_command(int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word.empty() || word.starts_with('-')) return;
  std::string known;
  for (const Command& command : commands()) {
    if (command.name == word) return;
    known += (known.empty() ? "" : ", ") + std::string(command.name);
  }
  throw base::BadUsage(fmt::format("unknown command \"{}\"; the commands are {}", word, known));
}

int run(int argc, char** argv) {
  check_command(argc, argv);
  CLI::App app{
      "Aquatint takes an open language model to fewer bits, tells what that costs and what it gains."};
  app.set_version_flag("--version", "aquatint " + base::version());
  app.require_subcommand(1);
  Common common;
  for (int i = 0; i < argc; ++i)
    common.command_line += (i ? " " : "") + std::string(i ? argv[i] : "aquatint");
  std::function<void()> chosen;
  for (const Command& command : commands()) {
    CLI::App* sub = app.add_subcommand(std::string(command.name), std::string(command.description));
    add_output_options(*sub, common);
    sub->callback([&chosen, action = command.add(*sub, common)] { chosen = action; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);  // --help, --version
  } catch (const CLI::ParseError& e) {
    print_error(std::string(e.what()) + "; see aquatint --help");
    return 2;
  }
  install_console(common.console);
  chosen();
  return 0;
}

}  // namespace
}  // namespace aquatint::cli

int main(int argc, char** argv) {
  using namespace aquatint;
  try {
    return cli::run(argc, argv);
  } catch (const base::Interrupted& e) {
    cli::print_error("interrupted; what was finished is kept: run again with --resume");
    return e.exit_code();
  } catch (const base::Error& e) {
    cli::print_error(e.what());
    return e.exit_code();
  } catch (const std::bad_alloc&) {
    cli::print_error("out of memory; use a smaller --context, --batch or model");
    return 4;
  } catch (const std::exception& e) {
    cli::print_error(fmt::format("{} (this is a bug; please report it)", e.what()));
    return 70;
  }
}
