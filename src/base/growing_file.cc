#include "base/growing_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/descriptor.h"
#include "base/error.h"

namespace aquatint::base {

GrowingFile::GrowingFile(const std::filesystem::path& path, Start start) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (start == Start::empty ? O_TRUNC : 0), 0644);
  if (fd_ < 0) write_failed(path, errno);
}

GrowingFile::~GrowingFile() {
  if (fd_ >= 0) ::close(fd_);
}

void GrowingFile::write(Bytes bytes) {
  write_at(fd_, path_, size_, bytes);
  size_ += bytes.size();
}

void GrowingFile::pass_over(uint64_t bytes) {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) write_failed(path_, errno);
  const auto held = static_cast<uint64_t>(info.st_size);
  if (held < size_ || held - size_ < bytes)
    throw BadInput(fmt::format("{}: {} bytes, expected {} more at {} by its journal", path_.string(), held,
                               bytes, size_));
  size_ += bytes;
}

void GrowingFile::overwrite(uint64_t offset, Bytes bytes) {
  AQ_CHECK(offset + bytes.size() <= size_);
  write_at(fd_, path_, offset, bytes);
}

void GrowingFile::cut() {
  if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) write_failed(path_, errno);
}

void GrowingFile::sync() {
  if (::fsync(fd_) != 0) write_failed(path_, errno);
}

}  // namespace aquatint::base
