// A folder that appears under its final name only when it is finished. Until then it lies in OUT.partial
// beside it, together with what is needed to go on after an interruption.
#pragma once
#include <filesystem>

namespace aquatint::base {

class WorkFolder {
 public:
  // BadUsage when the final folder exists, or another process works on it. What an earlier process left in
  // OUT.partial is there.
  explicit WorkFolder(std::filesystem::path to);
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder();  // removes OUT.partial, unless keep() was called

  const std::filesystem::path& path() const { return work_; }      // OUT.partial
  const std::filesystem::path& result() const { return result_; }  // what gets the final name

  void clear();
  void keep(bool kept) { kept_ = kept; }
  void commit();  // everything durable; the rest of OUT.partial is removed

 private:
  std::filesystem::path to_, work_, result_;
  int lock_ = -1;
  bool kept_ = false;
};

}  // namespace aquatint::base
