#include "base/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/descriptor.h"
#include "base/error.h"

namespace aquatint::base {
namespace fs = std::filesystem;

WorkFolder::WorkFolder(fs::path to) : to_(std::move(to)) {
  if (to_.filename().empty()) to_ = to_.parent_path();  // "out/" is "out"
  if (fs::exists(to_))
    throw BadUsage(fmt::format("{}: already exists; choose another --to or remove it", to_.string()));
  work_ = to_.string() + ".partial";
  result_ = work_ / "model";
  const bool finished =
      fs::exists(work_) && !fs::exists(result_);  // and its process ended before it was gone
  std::error_code error;
  fs::create_directories(result_, error);
  if (error) write_failed(result_, error.value());
  lock_ = ::open(work_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0) write_failed(work_, errno);
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw BadUsage(fmt::format("{}: another process is writing it; wait for it, or choose another --to",
                               work_.string()));
  }
  if (finished) clear();
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  if (!kept_) fs::remove_all(work_, ignored);
  ::close(lock_);
}

void WorkFolder::clear() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(work_)) fs::remove_all(entry.path(), error);
  fs::create_directories(result_, error);
  if (error) write_failed(result_, error.value());
}

void WorkFolder::commit() {
  sync_folder(result_);
  rename_durably(result_, to_);
  kept_ = false;
}

}  // namespace aquatint::base
