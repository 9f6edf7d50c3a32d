#include "eval/task_items.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/file.h"

namespace aquatint::eval {
namespace {

using base::BadInput;
using nlohmann::ordered_json;

Document parse_document(std::string_view text, const std::string& where) {
  base::parse_json(text, where);  // bounds its depth, refuses what is no UTF-8
  return Document::parse(text);
}

std::optional<int64_t> whole_number(const std::string& text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end && value >= 0 ? std::optional(value) : std::nullopt;
}

// Makes one item; `where` stands before every error.
class ItemMaker {
 public:
  ItemMaker(const TaskConfig& config, const Document& document, const std::string& where)
      : config_(config), document_(document), where_(where) {}

  TaskItem make() {
    if (!document_.is_object()) fail("expected one JSON object");
    if (config_.description.given())
      item_.preamble = text(config_.description.of(document_), "the description");
    switch (config_.kind) {
      case TaskKind::multiple_choice:
        make_choices();
        break;
      case TaskKind::schema:
        make_schema();
        break;
      default:
        make_plain();
    }
    make_example();
    return std::move(item_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw BadInput(fmt::format("{}: {}", where_, what));
  }

  // Of a field that the configuration may name and the document may lack.
  ordered_json value(const Field& field, std::string_view what) const {
    if (!field.given()) fail(fmt::format("the task does not say what {} is", what));
    try {
      return field.of(document_);
    } catch (const BadInput& error) {
      if (!field.source().is_string()) throw;
      fail(fmt::format("{}: {}", what, error.what()));
    }
  }

  // A template may give a number or a truth value; they read as Python writes them.
  std::string text(const ordered_json& value, std::string_view what) const {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number()) return value.dump();
    if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
    fail(fmt::format("{} is no text", what));
  }

  std::string required_text(const Field& field, std::string_view what) const {
    const ordered_json given = value(field, what);
    if (is_named(field) && !given.is_string()) fail(fmt::format("{} is no text", field.source().dump()));
    std::string found = text(given, what);
    // A name that the document does not have reads as a template, which is the name itself.
    if (!is_named(field) && field.source() == found && is_name(found))
      fail(fmt::format("\"{}\" is missing", found));
    return found;
  }

  bool is_named(const Field& field) const {
    return field.source().is_string() && document_.contains(field.source().get_ref<const std::string&>());
  }

  static bool is_name(const std::string& text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
    });
  }

  std::vector<std::string> choices(const Field& field) const {
    const ordered_json found = value(field, "the list of choices");
    const std::string name = field.source().is_string() ? field.source().get<std::string>() : "choices";
    if (!found.is_array() || found.size() < 2)
      fail(fmt::format("\"{}\" must be a list of at least two texts", name));
    std::vector<std::string> texts;
    for (const ordered_json& choice : found) {
      if (!choice.is_string()) fail(fmt::format("\"{}\" holds something that is no text", name));
      texts.push_back(choice.get<std::string>());
      if (texts.back().empty()) fail("a choice is empty");
    }
    return texts;
  }

  // The number of a choice, given as such, in digits, or as the choice itself.
  int choice_index(const ordered_json& gold, const std::vector<std::string>& choices) const {
    std::optional<int64_t> index;
    if (gold.is_number_integer()) {
      index = gold.get<int64_t>();
    } else if (gold.is_string()) {
      const auto found = std::find(choices.begin(), choices.end(), gold.get_ref<const std::string&>());
      index = found != choices.end() ? std::optional<int64_t>(found - choices.begin())
                                     : whole_number(gold.get<std::string>());
      if (!index) fail(fmt::format("the right answer {} is none of the choices", gold.dump()));
    }
    if (!index) fail("the right answer is neither a number nor one of the choices");
    if (*index < 0 || *index >= std::ssize(choices))
      fail(fmt::format("the right answer is choice {}, expected 0 to {}", *index, choices.size() - 1));
    return static_cast<int>(*index);
  }

  void make_choices() {
    item_.questions = {required_text(config_.question, "the question") + config_.question_suffix};
    item_.choices = choices(config_.choices);
    const ordered_json gold = value(config_.target, "the right answer");
    if (gold.is_array() && gold.empty()) fail("no right answer");
    for (const ordered_json& each : gold.is_array() ? gold : ordered_json::array({gold}))
      item_.gold.push_back(choice_index(each, item_.choices));
  }

  void make_schema() {
    item_.questions = choices(config_.choices);
    item_.gold = {choice_index(value(config_.question, "the right option"), item_.questions)};
    for (std::string& question : item_.questions) question += config_.question_suffix;
    item_.choices = {non_empty(required_text(config_.target, "the continuation"), "the continuation")};
  }

  void make_plain() {
    item_.questions = {config_.question.given()
                           ? required_text(config_.question, "the context") + config_.question_suffix
                           : ""};
    const ordered_json target = value(config_.target, "the answer");
    if (config_.kind != TaskKind::generation) {
      item_.choices = {non_empty(required_text(config_.target, "the continuation"), "the continuation")};
      item_.gold = {0};
      return;
    }
    const ordered_json answers = config_.answers.given() ? value(config_.answers, "the answers") : target;
    for (const ordered_json& each : answers.is_array() ? answers : ordered_json::array({answers}))
      item_.answers.push_back(text(each, "an answer"));
    if (item_.answers.empty()) fail("no right answer");
  }

  std::string non_empty(std::string found, std::string_view what) const {
    if (found.empty()) fail(fmt::format("{} is empty", what));
    return found;
  }

  std::string example_choice(size_t right) const {
    if (!config_.example_choices.given()) return item_.choices[right];
    const std::vector<std::string> texts = choices(config_.example_choices);
    if (right >= texts.size())
      fail(fmt::format("the right answer is choice {}, examples have {}", right, texts.size()));
    return texts[right];
  }

  void make_example() {
    const Field& question = config_.example_question.given() ? config_.example_question : config_.question;
    const auto right = static_cast<size_t>(item_.gold.empty() ? 0 : item_.gold.front());
    if (config_.example_question.given())
      item_.example_question = required_text(question, "an example's question") + config_.question_suffix;
    else
      item_.example_question = item_.questions[config_.kind == TaskKind::schema ? right : 0];
    if (config_.kind == TaskKind::multiple_choice && !config_.example_target.given()) {
      item_.example_answer = example_choice(right);
    } else if (config_.kind != TaskKind::rolling) {
      const ordered_json answer = value(
          config_.example_target.given() ? config_.example_target : config_.target, "an example's answer");
      item_.example_answer =
          text(answer.is_array() && !answer.empty() ? answer.front() : answer, "an example's answer");
    }
  }

  const TaskConfig& config_;
  const Document& document_;
  const std::string& where_;
  TaskItem item_;
};

}  // namespace

std::vector<Document> read_documents(const std::filesystem::path& file, std::vector<int>& lines) {
  const std::string text = base::read_text(file);
  std::vector<Document> documents;
  if (const size_t first = text.find_first_not_of(" \t\r\n");
      first != std::string::npos && text[first] == '[') {
    for (Document& document : parse_document(text, file.string())) documents.push_back(std::move(document));
    for (size_t i = 0; i < documents.size(); ++i) lines.push_back(static_cast<int>(i) + 1);
  } else {
    size_t begin = 0;
    for (int line = 1; begin < text.size(); ++line) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const std::string_view row(text.data() + begin, end - begin);
      begin = end + 1;
      if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      documents.push_back(parse_document(row, fmt::format("{}, line {}", file.string(), line)));
      lines.push_back(line);
    }
  }
  if (documents.empty()) throw BadInput(fmt::format("{}: no items", file.string()));
  return documents;
}

TaskItem make_item(const TaskConfig& config, const Document& document, const std::string& where) {
  return ItemMaker(config, document, where).make();
}

}  // namespace aquatint::eval
