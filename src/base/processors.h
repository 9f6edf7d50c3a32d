// Which processors this process may use, and how many threads are worth starting.
#pragma once
#include <filesystem>
#include <vector>

namespace aquatint::base {

// Of the affinity mask: one of each physical core first, then the other threads of those cores in the same
// order. Any run of them, wrapped around, lies on as many different cores as there are.
std::vector<int> allowed_processors();

int usable_cpus();      // affinity mask and cgroup quota, at least 1
int default_threads();  // the same, but one per physical core: a second thread on a core gains kernels
                        // nothing

// Keeps the calling thread on one processor. Best effort: what the kernel refuses changes nothing.
void pin_this_thread(int processor);

// Processors' worth of time that the control groups grant (the least of a group and its ancestors, version 2
// or 1); infinite when none limits it.
double cgroup_cpus(const std::filesystem::path& root = "/sys/fs/cgroup",
                   const std::filesystem::path& self = "/proc/self/cgroup");

}  // namespace aquatint::base
