// Documents → items.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "eval/tasks.h"

namespace aquatint::eval {

// Reads documents from a JSON array or one JSON object a line. `lines` gets each one's line, from 1. BadInput
// naming file and line.
std::vector<Document> read_documents(const std::filesystem::path& file, std::vector<int>& lines);

// BadInput ("where: …") when the document lacks something that the configuration names: no choices, an empty
// one, a right answer that is none of them.
TaskItem make_item(const TaskConfig& config, const Document& document, const std::string& where);

}  // namespace aquatint::eval
