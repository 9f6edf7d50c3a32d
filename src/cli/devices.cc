#include <fmt/format.h>

#include "base/machine.h"
#include "base/processors.h"
#include "cli/command.h"
#include "kernels/cuda/sets.h"
#include "plan/text.h"
#include "report/table.h"

namespace aquatint::cli {
namespace {

base::Json describe() {
  base::Json sets = base::Json::array();
  for (const kernels::KernelSet* set : kernels::kernel_sets())
    sets.push_back({{"name", set->name}, {"usable", set->usable()}, {"description", set->description}});
  base::Json known = base::Json::array();
  for (const plan::Device& device : plan::devices()) known.push_back(plan::to_json(device));
  return {{"cpu", base::cpu_name()},
          {"threads", base::default_threads()},
          {"ram_bytes", base::total_ram_bytes()},
          {"gpu", kernels::cuda::device_words()},
          {"default_kernels", kernels::kernel_set("auto").name},
          {"kernel_sets", sets},
          {"devices", known}};
}

// What plans are made for, from the makers' documents.
std::string known_devices() {
  const std::vector<plan::Device> all(plan::devices().begin(), plan::devices().end());
  std::string text = "\n" + plan::device_table(all) + "\n" + plan::support_table(all);
  for (const plan::Device& device : all) {
    text += fmt::format("\n{}: {}", device.name, device.source);
    for (const std::string& note : device.notes) text += fmt::format("\n  {}", note);
  }
  return text + "\n";
}

std::string as_text(const base::Json& d) {
  std::string text = fmt::format("CPU      {}\nthreads  {}\nmemory   {}\nGPU      {}\n\n{:<9} {:<8} \n",
                                 d["cpu"].get<std::string>(), d["threads"].get<int>(),
                                 report::format_bytes(d["ram_bytes"].get<double>()),
                                 d["gpu"].get<std::string>(), "kernels", "usable");
  for (const base::Json& set : d["kernel_sets"])
    text += fmt::format("{:<9} {:<8} {}\n", set["name"].get<std::string>(),
                        set["usable"].get<bool>() ? "yes" : "no", set["description"].get<std::string>());
  text += fmt::format("\n--kernels auto takes {}\n", d["default_kernels"].get<std::string>());
  return text + known_devices();
}

}  // namespace

std::function<void()> add_devices(CLI::App&, Common& common) {
  return [&common] {
    const base::Json facts = describe();
    common.json ? print_json(facts) : print_result(as_text(facts));
  };
}

}  // namespace aquatint::cli
