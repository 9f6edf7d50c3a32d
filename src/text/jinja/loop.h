// What a template sees as `loop`.
#pragma once
#include <deque>
#include <functional>

#include "text/jinja/value.h"

namespace aquatint::text::jinja {

// Goes over `source`, past the items that fail `passes`. As in Jinja that is asked as late as possible: a
// condition may depend on what the loop's body has done.
class LoopState final : public Object {
 public:
  LoopState(List source, std::function<bool(const Value&)> passes);
  bool advance();
  const Value& current() const { return current_; }
  Value attribute(const std::string& name) override;

  // At the end of the loop nothing of it stays, though a template may have kept `loop` itself.
  class Finish {
   public:
    explicit Finish(LoopState& loop) : loop_(loop) {}
    Finish(const Finish&) = delete;
    Finish& operator=(const Finish&) = delete;
    ~Finish();

   private:
    LoopState& loop_;
  };

 private:
  bool look_ahead();  // one more item is in ahead_
  int64_t total();

  List source_;
  size_t next_ = 0;  // in source_
  std::function<bool(const Value&)> passes_;
  std::deque<Value> ahead_;
  Value previous_, current_;
  int64_t index0_ = -1;
};

}  // namespace aquatint::text::jinja
