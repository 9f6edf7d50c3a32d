#include "base/log.h"

#include <atomic>
#include <mutex>

#include "base/error.h"

namespace aquatint::base {
namespace {
std::mutex sink_mutex;
LogSink log_sink;
ProgressSink progress_sink;
std::atomic<bool> stop_requested{false};
}  // namespace

void set_log_sink(LogSink sink) {
  std::lock_guard lock(sink_mutex);
  log_sink = std::move(sink);
}

void log(Level level, std::string_view message) {
  std::lock_guard lock(sink_mutex);
  if (log_sink) log_sink(level, message);
}

void set_progress_sink(ProgressSink sink) {
  std::lock_guard lock(sink_mutex);
  progress_sink = std::move(sink);
}

void progress(std::string_view activity, int64_t done, int64_t total, std::string_view unit) {
  throw_if_stopped();
  std::lock_guard lock(sink_mutex);
  if (progress_sink) progress_sink(activity, done, total, unit);
}

void request_stop() noexcept { stop_requested = true; }

void throw_if_stopped() {
  if (stop_requested) throw Interrupted();
}

}  // namespace aquatint::base
