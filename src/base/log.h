// The library reports through these callbacks and never prints. cli/ installs the sinks.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace aquatint::base {

enum class Level { info, warning };

using LogSink = std::function<void(Level, std::string_view message)>;
void set_log_sink(LogSink sink);  // default: discard
void log(Level level, std::string_view message);

template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  log(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  log(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}

// Progress of one long activity: `done` of `total` `unit`s. Also the place where a stop is noticed: throws
// Interrupted after request_stop().
using ProgressSink =
    std::function<void(std::string_view activity, int64_t done, int64_t total, std::string_view unit)>;
void set_progress_sink(ProgressSink sink);
void progress(std::string_view activity, int64_t done, int64_t total, std::string_view unit);

void request_stop() noexcept;  // safe in a signal handler
void throw_if_stopped();

}  // namespace aquatint::base
