// A command is one file that adds its options to the command line and says what to do; commands.cc lists them
// all.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "api/backend.h"
#include "cli/console.h"

namespace aquatint::cli {

// Options that mean the same in every command that has them.
struct Common {
  bool json = false;
  ConsoleOptions console;
  api::BackendOptions backend;
  uint64_t seed = 0;
  std::string command_line;  // as typed, for the record
};

struct Command {
  std::string_view name;
  std::string_view description;
  // Adds options to `app`; returns what to run when the command was chosen.
  std::function<void()> (*add)(CLI::App& app, Common& common);
};

std::span<const Command> commands();

// An option with its environment variable AQUATINT_<FLAG>.
template <class T>
CLI::Option* option(CLI::App& app, const std::string& flag, T& value, const std::string& description) {
  std::string name = "AQUATINT_";
  for (char c : flag.substr(2))
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return app.add_option(flag, value, description)->envname(name)->capture_default_str();
}

void add_output_options(CLI::App& app, Common& common);   // --json --quiet --log-json
void add_backend_options(CLI::App& app, Common& common);  // --threads --device --kernels
void add_seed(CLI::App& app, Common& common);             // --seed
void add_model(CLI::App& app, std::string& model);        // the positional MODEL

}  // namespace aquatint::cli
