#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/descriptor.h"
#include "base/error.h"

namespace aquatint::base {
namespace fs = std::filesystem;
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

std::string temporary_suffix() { return fmt::format(".{}.partial", ::getpid()); }

}  // namespace

void write_failed(const fs::path& path, int error) {
  const std::string message = fmt::format("{}: cannot write: {}", path.string(), std::strerror(error));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    throw OutOfResource(message + "; free some space and run again");
  throw BadUsage(message);
}

void sync_folder(const fs::path& folder) {
  Descriptor d{::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (d.fd >= 0) ::fsync(d.fd);
}

void rename_durably(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) write_failed(to, errno);
  sync_folder(to.parent_path());
}

void write_at(int fd, const fs::path& path, uint64_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n =
        ::pwrite(fd, bytes.data(), std::min(bytes.size(), size_t{1} << 30), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) write_failed(path, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  Descriptor d{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (d.fd < 0) throw BadInput(fmt::format("{}: cannot open: {}", path.string(), std::strerror(errno)));
  struct stat info {};
  if (::fstat(d.fd, &info) != 0 || !S_ISREG(info.st_mode))
    throw BadInput(fmt::format("{}: not a regular file", path.string()));
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  data_ = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, d.fd, 0);
  if (data_ == MAP_FAILED) {
    data_ = nullptr;
    throw OutOfResource(
        fmt::format("{}: cannot map {} bytes: {}", path.string(), size_, std::strerror(errno)));
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(data_, size_);
}

void advise(Bytes bytes, Access access) {
  // The kernel starts at most one read-ahead window a call.
  constexpr uintptr_t kPage = 4096, kWindow = uintptr_t{128} << 10;
  auto begin = reinterpret_cast<uintptr_t>(bytes.data()) / kPage * kPage;
  const uintptr_t end = reinterpret_cast<uintptr_t>(bytes.data()) + bytes.size();
  if (access == Access::done && begin < end)
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  for (; access == Access::soon && begin < end; begin += kWindow)
    ::madvise(reinterpret_cast<void*>(begin), std::min(kWindow, end - begin), MADV_WILLNEED);
}

std::string read_text(const fs::path& path, size_t max_bytes) {
  const MappedFile file(path);
  const Bytes bytes = file.bytes();
  if (bytes.size() > max_bytes)
    throw BadInput(fmt::format("{}: {} bytes, expected at most {}", path.string(), bytes.size(), max_bytes));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)), temporary_(path_.string() + temporary_suffix()) {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) write_failed(temporary_, errno);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(Bytes bytes) {
  write_at(fd_, path_, size_, bytes);
  size_ += bytes.size();
}

void AtomicFile::overwrite(uint64_t offset, Bytes bytes) {
  AQ_CHECK(offset + bytes.size() <= size_);
  write_at(fd_, path_, offset, bytes);
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) write_failed(path_, errno);
  const int closed = ::close(std::exchange(fd_, -1));
  if (closed != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    write_failed(path_, error);
  }
  rename_durably(temporary_, path_);
}

void write_text(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace aquatint::base
