#include "text/jinja/loop.h"

namespace aquatint::text::jinja {

LoopState::LoopState(List source, std::function<bool(const Value&)> passes)
    : source_(std::move(source)), passes_(std::move(passes)) {}

LoopState::Finish::~Finish() {
  loop_.source_.clear();
  loop_.ahead_.clear();
  loop_.next_ = 0;
  loop_.passes_ = nullptr;
  loop_.previous_ = loop_.current_ = Value();
}

bool LoopState::look_ahead() {
  while (next_ < source_.size()) {
    Value item = source_[next_++];
    if (!passes_(item)) continue;
    ahead_.push_back(std::move(item));
    return true;
  }
  return false;
}

bool LoopState::advance() {
  if (ahead_.empty() && !look_ahead()) return false;
  previous_ = std::move(current_);
  current_ = std::move(ahead_.front());
  ahead_.pop_front();
  ++index0_;
  return true;
}

int64_t LoopState::total() {
  while (look_ahead()) {
  }
  return index0_ + 1 + static_cast<int64_t>(ahead_.size());
}

Value LoopState::attribute(const std::string& name) {
  if (name == "index0") return index0_;
  if (name == "index") return index0_ + 1;
  if (name == "first") return index0_ == 0;
  if (name == "last") return ahead_.empty() && !look_ahead();
  if (name == "length") return total();
  if (name == "revindex") return total() - index0_;
  if (name == "revindex0") return total() - index0_ - 1;
  if (name == "previtem") return previous_;
  if (name == "nextitem") return ahead_.empty() && !look_ahead() ? Value() : ahead_.front();
  if (name == "cycle")
    return Value(Function([index0 = index0_](Interpreter&, const Arguments& arguments) {
      if (arguments.positional.empty()) throw Failure("loop.cycle() of nothing");
      return arguments.positional[static_cast<size_t>(index0) % arguments.positional.size()];
    }));
  if (name == "depth") return int64_t{1};
  if (name == "depth0") return int64_t{0};
  return Value();
}

}  // namespace aquatint::text::jinja
