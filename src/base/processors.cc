#include "base/processors.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <string>

namespace aquatint::base {
namespace fs = std::filesystem;
namespace {

std::vector<int> affinity_mask() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> processors;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set)) processors.push_back(i);
  return processors;
}

// Package and core; processors of which neither is known are cores of their own.
std::pair<int, int> core_of(int processor) {
  const std::string topology = fmt::format("/sys/devices/system/cpu/cpu{}/topology/", processor);
  int package = -1, core = -1;
  std::ifstream(topology + "physical_package_id") >> package;
  if (!(std::ifstream(topology + "core_id") >> core)) return {-2, processor};
  return {package, core};
}

size_t count_cores(const std::vector<int>& processors) {
  std::set<std::pair<int, int>> cores;
  for (const int processor : processors) cores.insert(core_of(processor));
  return cores.size();
}

// v2 "max 100000" or "200000 100000"; v1 has the two numbers in two files and −1 for no limit.
double quota_of(const fs::path& group) {
  double quota = -1, period = -1;
  if (std::ifstream v2(group / "cpu.max"); v2) {
    std::string first;
    v2 >> first >> period;
    if (first != "max") quota = std::atof(first.c_str());
  } else {
    std::ifstream(group / "cpu.cfs_quota_us") >> quota;
    std::ifstream(group / "cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : HUGE_VAL;
}

double least_quota(const fs::path& root, fs::path group) {
  double least = quota_of(root);
  for (group = group.relative_path(); !group.empty(); group = group.parent_path())
    least = std::min(least, quota_of(root / group));
  return least;
}

int within_quota(size_t count) {
  return std::max(1,
                  static_cast<int>(std::min<double>(static_cast<double>(count), std::ceil(cgroup_cpus()))));
}

}  // namespace

double cgroup_cpus(const fs::path& root, const fs::path& self) {
  double least = std::min(quota_of(root), quota_of(root / "cpu"));
  std::ifstream lines(self);  // "0::/group" of version 2, "4:cpu,cpuacct:/group" of version 1
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path group = line.substr(second + 1);
    if (controllers == ",,") least = std::min(least, least_quota(root, group));
    if (controllers.find(",cpu,") != controllers.npos)
      least = std::min(least, least_quota(root / "cpu", group));
  }
  return least;
}

std::vector<int> allowed_processors() {
  std::vector<int> firsts, others;
  std::set<std::pair<int, int>> cores;
  for (const int processor : affinity_mask())
    (cores.insert(core_of(processor)).second ? firsts : others).push_back(processor);
  firsts.insert(firsts.end(), others.begin(), others.end());
  return firsts;
}

int usable_cpus() { return within_quota(affinity_mask().size()); }
int default_threads() { return within_quota(count_cores(affinity_mask())); }

void pin_this_thread(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}

}  // namespace aquatint::base
