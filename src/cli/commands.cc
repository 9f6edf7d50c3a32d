// The only place that knows all commands.
#include <array>

#include "cli/command.h"

namespace aquatint::cli {

std::function<void()> add_inspect(CLI::App&, Common&);
std::function<void()> add_quantize(CLI::App&, Common&);
std::function<void()> add_sensitivity(CLI::App&, Common&);
std::function<void()> add_convert(CLI::App&, Common&);
std::function<void()> add_eval(CLI::App&, Common&);
std::function<void()> add_bench(CLI::App&, Common&);
std::function<void()> add_study(CLI::App&, Common&);
std::function<void()> add_report(CLI::App&, Common&);
std::function<void()> add_generate(CLI::App&, Common&);
std::function<void()> add_formats(CLI::App&, Common&);
std::function<void()> add_devices(CLI::App&, Common&);
std::function<void()> add_plan(CLI::App&, Common&);
std::function<void()> add_deploy(CLI::App&, Common&);

namespace {
constexpr std::array kCommands = {
    Command{"inspect", "what a checkpoint consists of, and what is wrong with it", add_inspect},
    Command{"plan", "which format on which cards for which load: memory, latency, cost, quality; a recipe",
            add_plan},
    Command{"deploy", "the files that run a plan's scheme on a serving engine", add_deploy},
    Command{"sensitivity", "which layers lose most in fewer bits; a recipe of several schemes under a budget",
            add_sensitivity},
    Command{"quantize", "write a checkpoint in fewer bits", add_quantize},
    Command{"convert", "write the same weights in another layout", add_convert},
    Command{"eval", "perplexity, divergence from a reference, task accuracy", add_eval},
    Command{"bench", "prefill and decode speed, memory, use of the machine's peaks", add_bench},
    Command{"study", "quantize, evaluate and bench several schemes; a table and a report to decide from",
            add_study},
    Command{"report", "render the report of a finished study again", add_report},
    Command{"generate", "text from a model", add_generate},
    Command{"formats", "the number formats and schemes that are known", add_formats},
    Command{"devices", "the devices that plans know; this machine: processors, memory, kernel sets",
            add_devices},
};
}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace aquatint::cli
