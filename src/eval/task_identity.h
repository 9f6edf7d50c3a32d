// What a stored result of a task belongs to, and which results belong together.
#pragma once
#include <string>
#include <vector>

#include "eval/task_requests.h"
#include "eval/tasks.h"

namespace aquatint::eval {

// SHA-256 over everything that decides which requests the first `count` items make and how answers are
// judged. The task's name and where its files lie do not matter.
std::string task_sha256(const Task& task, size_t count, uint64_t seed);

// What is run for an item, in order.
using ItemPrompts = std::vector<ContextAndContinuation>;
std::vector<ItemPrompts> item_prompts(const Task& task, size_t count, const TaskOptions& options);

// SHA-256 over the texts that a model gets for an item, whoever ran it, and over those of all items: equal
// for results that can be compared item by item.
std::string item_sha256(const ItemPrompts& prompts);
std::string items_sha256(const std::vector<std::string>& item_sha256s);

}  // namespace aquatint::eval
