// What a stored result of a task belongs to.
#pragma once
#include <string>

#include "eval/tasks.h"

namespace aquatint::eval {

// SHA-256 over everything that decides which requests the first `count` items make and how answers are
// judged. The task's name and where its files lie do not matter.
std::string task_sha256(const Task& task, size_t count, uint64_t seed);

}  // namespace aquatint::eval
