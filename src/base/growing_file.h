// A file that a later process can go on with: what it holds is written again, or passed over, in the same
// order.
#pragma once
#include <filesystem>

#include "base/bytes.h"

namespace aquatint::base {

class GrowingFile {
 public:
  enum class Start { empty, as_it_is };

  // Made where it is not. OutOfResource when the disk is full.
  GrowingFile(const std::filesystem::path& path, Start start);
  GrowingFile(const GrowingFile&) = delete;
  GrowingFile& operator=(const GrowingFile&) = delete;
  ~GrowingFile();

  void write(Bytes bytes);
  void pass_over(uint64_t bytes);  // BadInput when the file does not hold so many more
  void overwrite(uint64_t offset, Bytes bytes);
  void cut();   // what lies behind the bytes written and passed over
  void sync();  // durable when it returns
  uint64_t size() const { return size_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace aquatint::base
