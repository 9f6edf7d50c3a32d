#include "base/float_array.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace aquatint::base {
namespace {

// A file of `bytes`, all of them there: a page that finds no room later would end the process.
int nameless_file(const std::filesystem::path& folder, size_t bytes) {
  std::string name = (folder / "spill-XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0)
    throw BadUsage(fmt::format("{}: cannot make a file: {}", folder.string(), std::strerror(errno)));
  ::unlink(name.c_str());
  if (const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes)); error != 0) {
    ::close(fd);
    throw OutOfResource(fmt::format("{}: no room for {} bytes of calibration states: {}", folder.string(),
                                    bytes, std::strerror(error)));
  }
  return fd;
}

}  // namespace

FloatArray::FloatArray(size_t count, const std::filesystem::path& folder)
    : size_(count), capacity_(count), in_memory_(folder.empty() || count == 0) {
  if (count == 0) return;
  const size_t bytes = count * sizeof(float);
  const int fd = in_memory_ ? -1 : nameless_file(folder, bytes);
  const int flags = in_memory_ ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (at == MAP_FAILED)
    throw OutOfResource(fmt::format("cannot map {} bytes: {}", bytes, std::strerror(error)));
  if (in_memory_) ::madvise(at, bytes, MADV_HUGEPAGE);
  data_ = static_cast<float*>(at);
}

FloatArray::FloatArray(FloatArray&& other) noexcept { *this = std::move(other); }

FloatArray& FloatArray::operator=(FloatArray&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
  std::swap(in_memory_, other.in_memory_);
  return *this;
}

FloatArray::~FloatArray() {
  if (data_) ::munmap(data_, capacity_ * sizeof(float));
}

void FloatArray::reuse(size_t count, const std::filesystem::path& folder) {
  if (count > capacity_) {
    *this = FloatArray();  // first, so that there are never two
    *this = FloatArray(count, folder);
  }
  size_ = count;
}

void FloatArray::release(size_t first, size_t count) const {
  if (!in_memory_) advise(std::as_bytes(values().subspan(first, count)), Access::done);
}

}  // namespace aquatint::base
