#include "text/post_processor.h"

#include "base/error.h"
#include "text/pattern.h"
#include "text/vocabulary.h"

namespace aquatint::text {
namespace {

using base::BadInput;
using base::Json;

constexpr size_t kMaxTokens = 1024;  // around one text

int32_t checked_id(const Json& value, const std::string& where) {
  if (!value.is_number_integer() || value < 0 || value >= kMaxTokenId)
    throw BadInput(fmt::format("{}: the post-processor holds {}, expected a token id", where, value.dump()));
  return value.get<int32_t>();
}

// ids of special token `name`, from the template's own table.
std::vector<int32_t> special_ids(const Json& stage, const std::string& name, const std::string& where) {
  const Json& table = stage.value("special_tokens", Json::object());
  const auto entry = table.is_object() ? table.find(name) : table.end();
  if (entry == table.end() || !entry->is_object() || !entry->contains("ids") || !entry->at("ids").is_array())
    throw BadInput(
        fmt::format("{}: the post-processor names \"{}\", which its special_tokens lack", where, name));
  std::vector<int32_t> ids;
  for (const Json& id : entry->at("ids")) ids.push_back(checked_id(id, where));
  return ids;
}

}  // namespace

PostProcessor::PostProcessor(const Json& stage, const std::string& where) {
  if (!stage.is_null()) add(stage, where);
  if (before_.size() + after_.size() > kMaxTokens)
    throw BadInput(fmt::format("{}: the post-processor adds {} tokens, expected at most {}", where,
                               before_.size() + after_.size(), kMaxTokens));
}

void PostProcessor::add(const Json& stage, const std::string& where) {
  const std::string type = stage_type(stage, where);
  if (type == "ByteLevel") return;
  if (type == "TemplateProcessing") return add_template(stage, where);
  if (type == "BertProcessing" || type == "RobertaProcessing") return add_pair(stage, where);
  if (type != "Sequence") unsupported_stage("post-processor", type, where);
  for (const Json& each : stage_list(stage, "processors", where)) add(each, where);
}

void PostProcessor::add_template(const Json& stage, const std::string& where) {
  std::vector<int32_t> before, after;
  bool seen_text = false;
  for (const Json& item : stage_list(stage, "single", where)) {
    const bool one_key = item.is_object() && item.size() == 1 && item.begin()->is_object();
    if (one_key && item.contains("Sequence")) {
      if (seen_text) throw BadInput(fmt::format("{}: the post-processor repeats the text", where));
      seen_text = true;
    } else if (one_key && item.contains("SpecialToken")) {
      const auto ids = special_ids(stage, base::require_string(item["SpecialToken"], "id", where), where);
      auto& to = seen_text ? after : before;
      to.insert(to.end(), ids.begin(), ids.end());
    } else {
      throw BadInput(
          fmt::format("{}: the post-processor's template holds {}, expected SpecialToken or Sequence", where,
                      item.dump()));
    }
  }
  if (!seen_text) throw BadInput(fmt::format("{}: the post-processor's template leaves the text out", where));
  before_.insert(before_.begin(), before.begin(), before.end());
  after_.insert(after_.end(), after.begin(), after.end());
}

void PostProcessor::add_pair(const Json& stage, const std::string& where) {
  for (const char* key : {"cls", "sep"}) {
    const auto it = stage.find(key);
    if (it == stage.end() || !it->is_array() || it->size() != 2)
      throw BadInput(fmt::format("{}: the post-processor's \"{}\" must be [token, id]", where, key));
    const int32_t id = checked_id((*it)[1], where);
    if (std::string_view(key) == "cls")
      before_.insert(before_.begin(), id);
    else
      after_.push_back(id);
  }
}

std::vector<int32_t> PostProcessor::apply(std::vector<int32_t> ids) const {
  ids.insert(ids.begin(), before_.begin(), before_.end());
  ids.insert(ids.end(), after_.begin(), after_.end());
  return ids;
}

std::optional<int32_t> PostProcessor::first() const {
  return before_.empty() ? std::nullopt : std::optional(before_.front());
}

}  // namespace aquatint::text
