#include "plan/simulate.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

#include "base/rng.h"

namespace aquatint::plan {
namespace {

struct Request {
  double arrival = 0, first_token = -1, end = 0;
  double prompt_done = 0;
  int64_t last_step = 0;  // that generates for it
};

std::vector<double> arrivals(const Simulation& settings) {
  std::vector<double> times(static_cast<size_t>(settings.requests));
  if (settings.requests_per_second <= 0) return times;
  base::Rng rng(settings.seed);
  double now = 0;
  for (double& time : times) {
    now -= std::log(1 - rng.uniform()) / settings.requests_per_second;
    time = now;
  }
  return times;
}

Percentiles percentiles(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
  };
  double sum = 0;
  for (const double value : values) sum += value;
  return {sum / static_cast<double>(values.size()), at(0.5), at(0.9), at(0.99)};
}

class Player {
 public:
  Player(const Engine& engine, const Memory& memory, const Traffic& traffic, const Simulation& settings)
      : engine_(engine), traffic_(traffic), settings_(settings) {
    room_ = most_sequences(engine, memory, traffic.context());
    if (settings.most_sequences > 0) room_ = std::min(room_, settings.most_sequences);
    for (const double time : arrivals(settings)) requests_.push_back({.arrival = time});
  }

  Played play() {
    if (room_ < 1) return {};
    while (done_ < requests_.size()) {
      admit();
      const Step step = next_step();
      if (step.sequences + step.prompt_tokens == 0) {
        now_ = std::max(now_, requests_[next_].arrival);
        continue;
      }
      now_ += step_time(engine_, step).total();
      ++played_.steps;
      finish_step();
    }
    return result();
  }

 private:
  double running() const { return static_cast<double>(prompts_.size() + generating_.size()); }

  void admit() {
    for (; next_ < requests_.size() && requests_[next_].arrival <= now_ && running() < room_; ++next_)
      prompts_.push_back(next_);
    played_.most_sequences = std::max(played_.most_sequences, running());
  }

  // Those that generate come first; prompts take what is left of the step's tokens, in order.
  Step next_step() {
    Step step;
    step.sequences = static_cast<double>(generating_.size());
    step.context = generating_.empty() ? 0 : context_ / step.sequences;
    finishing_ = 0;
    double left = settings_.most_tokens - step.sequences;
    for (const size_t i : prompts_) {
      Request& r = requests_[i];
      const double missing = traffic_.prompt_tokens - r.prompt_done;
      const double taken = std::min(missing, std::max(0.0, left));
      if (taken < missing && (!settings_.chunked_prompts && step.prompt_tokens + step.sequences > 0)) break;
      const double piece = settings_.chunked_prompts ? taken : missing;
      if (piece <= 0) break;
      step.prompt_tokens += piece;
      step.prompt_positions += piece * r.prompt_done + piece * (piece + 1) / 2;
      r.prompt_done += piece;
      left -= piece;
      if (r.prompt_done < traffic_.prompt_tokens) break;
      ++finishing_;
    }
    step.prompts_finished = static_cast<double>(finishing_);
    return step;
  }

  // Requests are alike, so those that began first end first.
  void finish_step() {
    context_ += static_cast<double>(generating_.size());
    while (!generating_.empty() && requests_[generating_.front()].last_step <= played_.steps) {
      end(generating_.front());
      generating_.pop_front();
      context_ -= traffic_.context();
    }
    for (; finishing_ > 0; --finishing_) {
      const size_t i = prompts_.front();
      prompts_.pop_front();
      requests_[i].first_token = now_;
      requests_[i].last_step = played_.steps + static_cast<int64_t>(traffic_.generate_tokens) - 1;
      if (traffic_.generate_tokens <= 1) {
        end(i);
        continue;
      }
      generating_.push_back(i);
      context_ += traffic_.prompt_tokens + 1;
    }
  }

  void end(size_t i) {
    requests_[i].end = now_;
    ++done_;
  }

  Played result() {
    std::vector<double> first, between;
    for (const Request& r : requests_) {
      first.push_back(r.first_token - r.arrival);
      if (traffic_.generate_tokens > 1)
        between.push_back((r.end - r.first_token) / (traffic_.generate_tokens - 1));
    }
    played_.first_token = percentiles(std::move(first));
    played_.token = percentiles(std::move(between));
    played_.seconds = now_ - requests_.front().arrival;
    played_.tokens_per_second =
        static_cast<double>(requests_.size()) * traffic_.generate_tokens / played_.seconds;
    return played_;
  }

  const Engine& engine_;
  const Traffic& traffic_;
  const Simulation& settings_;
  double room_ = 0, now_ = 0;
  std::vector<Request> requests_;
  std::deque<size_t> prompts_, generating_;
  double context_ = 0;  // positions that those that generate hold, all together
  size_t next_ = 0, done_ = 0, finishing_ = 0;
  Played played_;
};

}  // namespace

Played simulate(const Engine& engine, const Memory& memory, const Traffic& traffic,
                const Simulation& settings) {
  return Player(engine, memory, traffic, settings).play();
}

}  // namespace aquatint::plan
