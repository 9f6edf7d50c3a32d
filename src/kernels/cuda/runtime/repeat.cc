#include "kernels/cuda/repeat.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <map>

#include "kernels/cuda/device.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr size_t kMostGraphs = 64;

// Work that was seen, and, from its second time, its graph.
struct Seen {
  cudaGraphExec_t graph = nullptr;
  uint64_t last_used = 0;
};

cudaGraphExec_t capture(const std::function<void()>& body) {
  cudaGraph_t graph{};
  check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed), "recording a step");
  try {
    body();
  } catch (...) {
    cudaStreamEndCapture(stream(), &graph);
    if (graph) cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(stream(), &graph), "recording a step");
  cudaGraphExec_t executable{};
  const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "recording a step");
  return executable;
}

void forget_the_oldest(std::map<Notes::Key, Seen>& all) {
  const auto oldest = std::min_element(
      all.begin(), all.end(), [](auto& a, auto& b) { return a.second.last_used < b.second.last_used; });
  if (oldest->second.graph) {
    synchronize();
    check(cudaGraphExecDestroy(oldest->second.graph), "forgetting a step");
  }
  all.erase(oldest);
}

}  // namespace

// What is seen for the first time is done as it comes: it may never come again.
void repeat(const std::function<void()>& body) {
  static std::map<Notes::Key, Seen> all;
  static uint64_t uses = 0;
  const Notes now = noted(body);
  if (now.done()) return body();
  const auto found = all.find(now.key());
  if (found == all.end()) {
    if (all.size() == kMostGraphs) forget_the_oldest(all);
    all[now.key()].last_used = ++uses;
    return body();
  }
  Seen& seen = found->second;
  if (!seen.graph) seen.graph = capture(body);
  seen.last_used = ++uses;
  check(cudaGraphLaunch(seen.graph, stream()), "start of a step");
}

}  // namespace aquatint::kernels::cuda
