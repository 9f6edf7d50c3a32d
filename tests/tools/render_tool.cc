// Renders a chat template, for comparison with other implementations.
//   render_tool TEMPLATE VARIABLES.json
#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "text/chat_template.h"

namespace {

using namespace aquatint;

int run(const char* template_file, const char* variables_file) {
  const text::ChatTemplate chat_template(base::read_text(template_file), template_file);
  const auto variables = nlohmann::ordered_json::parse(base::read_text(variables_file));
  const std::string out = chat_template.render(variables);
  std::fwrite(out.data(), 1, out.size(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return run(argv[1], argv[2]);
  } catch (const base::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return e.exit_code();
  }
}
