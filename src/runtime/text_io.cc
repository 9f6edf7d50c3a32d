#include "runtime/text_io.h"

#include <algorithm>

#include "base/error.h"

namespace aquatint::runtime {
namespace {

using base::Json;
using checkpoint::Checkpoint;
using checkpoint::SideFile;

std::string where(const Checkpoint& checkpoint, std::string_view file) {
  return fmt::format("{}: {}", checkpoint.path().string(), file);
}

}  // namespace

Json side_json(const Checkpoint& checkpoint, std::string_view name) {
  const SideFile* file = checkpoint.side_file(name);
  if (!file) return Json::object();
  Json json = base::parse_json(file->bytes, where(checkpoint, name));
  if (!json.is_object())
    throw base::BadInput(
        fmt::format("{}: is {}, expected an object", where(checkpoint, name), json.type_name()));
  return json;
}

std::unique_ptr<text::Tokenizer> load_tokenizer(const Checkpoint& checkpoint) {
  const SideFile* file = checkpoint.side_file("tokenizer.json");
  if (!file)
    throw base::BadInput(fmt::format("{}: has no tokenizer.json; copy it from the model's original folder",
                                     checkpoint.path().string()));
  return text::Tokenizer::from_json(file->bytes, where(checkpoint, "tokenizer.json"));
}

std::vector<int32_t> stop_ids(const Checkpoint& checkpoint, const model::Config& config) {
  std::vector<int32_t> ids = config.eos_ids;
  const Json generation = side_json(checkpoint, "generation_config.json");
  const auto eos = generation.find("eos_token_id");
  if (eos == generation.end()) return ids;
  for (const Json& id : eos->is_array() ? *eos : Json::array({*eos}))
    if (id.is_number_integer() && id >= 0 && id < config.vocab_size &&
        std::find(ids.begin(), ids.end(), id.get<int32_t>()) == ids.end())
      ids.push_back(id.get<int32_t>());
  return ids;
}

}  // namespace aquatint::runtime
