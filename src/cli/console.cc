#include "cli/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <mutex>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "report/table.h"

namespace aquatint::cli {
namespace {

using base::Clock;

struct Progress {
  std::string activity;
  Clock::time_point start, last_shown;
  int64_t first = 0;
  bool shown = false;
  bool line_open = false;
};

ConsoleOptions settings;
bool on_terminal = false;
Progress current;
std::set<std::string, std::less<>> warned;
std::mutex mutex;

void write_line(std::string_view line) {
  if (current.line_open) std::fputs("\r\033[K", stderr);
  current.line_open = false;
  fmt::print(stderr, "{}\n", line);
}

void write_log_json(std::string_view level, std::string_view message) {
  write_line(base::Json{{"date", base::utc_date()}, {"level", level}, {"message", message}}.dump(
      -1, ' ', false, base::Json::error_handler_t::replace));
}

void on_log(base::Level level, std::string_view message) {
  std::lock_guard lock(mutex);
  if (level == base::Level::info && settings.quiet) return;
  if (level == base::Level::warning && !warned.emplace(message).second) return;  // said once is enough
  if (settings.log_json) return write_log_json(level == base::Level::warning ? "warning" : "info", message);
  write_line(level == base::Level::warning ? fmt::format("warning: {}", message) : std::string(message));
}

std::string bar(double share) {
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(share * kWidth);
  std::string text;
  for (int i = 0; i < kWidth; ++i) text += i < filled ? "█" : "░";
  return text;
}

std::string status(int64_t done, int64_t total, std::string_view unit) {
  const double seconds = base::seconds_since(current.start);
  const double rate = seconds > 0 ? static_cast<double>(done - current.first) / seconds : 0;
  std::string text =
      total > 0 ? fmt::format("{}/{} {}", done, total, unit) : fmt::format("{} {}", done, unit);
  if (rate > 0) text += fmt::format("  {:.3g} {}/s", rate, unit);
  if (rate > 0 && total > done)
    text += "  ETA " + report::format_seconds(static_cast<double>(total - done) / rate);
  return text;
}

void on_progress(std::string_view activity, int64_t done, int64_t total, std::string_view unit) {
  std::lock_guard lock(mutex);
  if (settings.quiet) return;
  const auto now = Clock::now();
  if (activity != current.activity) {
    if (current.line_open) std::fputs("\r\033[K", stderr);
    current = {std::string(activity), now, now, done, false, false};
  }
  const bool finished = total > 0 && done >= total;
  // Away from a terminal a short activity leaves no line at all.
  const auto interval = on_terminal ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
  if (now - current.last_shown < interval && !(finished && (on_terminal || current.shown))) {
    if (finished) current.activity.clear();
    return;
  }
  current.shown = true;
  current.last_shown = now;
  if (settings.log_json) {
    write_line(base::Json{
        {"date", base::utc_date()},
        {"level", "progress"},
        {"activity", activity},
        {"done", done},
        {"total", total},
        {"unit",
         unit}}.dump());
  } else if (on_terminal) {
    const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
    fmt::print(stderr, "\r\033[K{:<24} {} {}", activity, bar(share), status(done, total, unit));
    current.line_open = true;
    if (finished)
      write_line(fmt::format("{:<24} {} in {}", activity, fmt::format("{} {}", total, unit),
                             report::format_seconds(base::seconds_since(current.start))));
    std::fflush(stderr);
  } else {
    write_line(fmt::format("{}: {}", activity, status(done, total, unit)));
  }
  if (finished) current.activity.clear();
}

void on_signal(int signal) {
  base::request_stop();
  std::signal(signal, SIG_DFL);  // a second one ends the process at once
}

}  // namespace

void install_console(const ConsoleOptions& options) {
  settings = options;
  on_terminal = isatty(STDERR_FILENO) == 1 && !options.log_json;
  base::set_log_sink(on_log);
  base::set_progress_sink(on_progress);
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit then is an ordinary write error
}

void finish_progress() {
  std::lock_guard lock(mutex);
  if (current.line_open) std::fputs("\r\033[K", stderr);
  current.line_open = false;
}

void print_error(std::string_view message) {
  finish_progress();
  if (settings.log_json)
    write_log_json("error", message);
  else
    fmt::print(stderr, "aquatint: {}\n", message);
}

void print_result(std::string_view text) {
  finish_progress();
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) != 0) throw base::OutOfResource("standard output: cannot write the result");
}

void print_json(const base::Json& result) {
  print_result(result.dump(2, ' ', false, base::Json::error_handler_t::replace) + "\n");
}

}  // namespace aquatint::cli
