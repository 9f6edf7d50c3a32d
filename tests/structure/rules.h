// The rules of docs/ARCHITECTURE.md as functions over source text. Each returns one line per breach, ready to
// print.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace aquatint::structure {

struct Source {
  std::string path;  // from the repository's root, '/' between parts: "src/quant/pipeline.cc"
  std::vector<std::string> lines;
};

using Breaches = std::vector<std::string>;

// "quant" of "src/quant/methods/rtn.cc"; empty outside src/.
std::string room_of(std::string_view path);
bool is_room(std::string_view name);  // in the table of levels

Breaches upward_includes(const Source& source);  // a room includes itself and rooms of lower levels only
Breaches foreign_libraries(
    const Source& source);                      // a third-party header outside the rooms that own the library
Breaches long_file(const Source& source);       // 400 lines, 600 in kernels
Breaches long_functions(const Source& source);  // 60 lines
Breaches header_habits(const Source& source);   // #pragma once; no using namespace outside functions
Breaches wrong_namespace(const Source& source);     // namespace aquatint::<room>
Breaches unfinished_work(const Source& source);     // TODO, FIXME
int preprocessor_conditions(const Source& source);  // #if, #ifdef, #ifndef, #elif

}  // namespace aquatint::structure
