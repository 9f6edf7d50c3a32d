#include "kernels/cuda/allocator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "base/error.h"

namespace aquatint::kernels::cuda {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMB = 1 << 20;

// A driver with a fixed amount of memory, which is never touched.
struct Driver {
  uint64_t room;
  std::map<void*, uint64_t> taken{};
  int calls = 0;

  Allocator::Source source() {
    return {[this](uint64_t bytes) -> void* {
              ++calls;
              if (bytes > room) return nullptr;
              room -= bytes;
              void* block = std::malloc(1);
              taken[block] = bytes;
              return block;
            },
            [this](void* block) {
              room += taken.at(block);
              taken.erase(block);
              std::free(block);
            }};
  }
};

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const base::OutOfResource& e) {
    return e.what();
  }
  return "";
}

TEST(Allocator, KeepsBlocksForRequestsOfAboutTheirSize) {
  Driver driver{1000 * kMB};
  {
    Allocator allocator(driver.source(), 1000 * kMB);
    void* a = allocator.allocate(100 * kMB, "a", "");
    void* b = allocator.allocate(1000, "b", "");
    EXPECT_EQ(allocator.in_use(), 100 * kMB + 1024);
    allocator.release(a);
    EXPECT_EQ(allocator.allocate(99 * kMB - 5, "a again", ""), a);
    allocator.release(a);
    EXPECT_EQ(driver.calls, 2);
    void* small = allocator.allocate(10 * kMB, "too small for a's block", "");
    EXPECT_NE(small, a);
    EXPECT_EQ(driver.calls, 3);
    EXPECT_EQ(allocator.peak(), 100 * kMB + 1024);
    for (void* block : {b, small}) allocator.release(block);
    EXPECT_EQ(allocator.in_use(), 0u);
  }
  EXPECT_EQ(driver.room, 1000 * kMB);
}

TEST(Allocator, GivesBackWhatItKeepsBeforeItRefuses) {
  Driver driver{1000 * kMB};
  Allocator allocator(driver.source(), 200 * kMB);
  void* a = allocator.allocate(150 * kMB, "a", "");
  allocator.release(a);
  void* b = allocator.allocate(60 * kMB, "b", "");
  EXPECT_EQ(driver.room, 940 * kMB);
  EXPECT_THAT(error_of([&] { allocator.allocate(141 * kMB, "the weights of a layer", "; use fewer"); }),
              testing::AllOf(HasSubstr("the weights of a layer (148 MB): 146 of 209 MB are left"),
                             HasSubstr("; use fewer")));
  allocator.release(allocator.allocate(140 * kMB, "c", ""));
  allocator.release(b);
}

TEST(Allocator, SaysWhenTheDriverHasLessThanTheBudget) {
  Driver driver{100 * kMB};
  Allocator allocator(driver.source(), 200 * kMB);
  EXPECT_THAT(error_of([&] { allocator.allocate(150 * kMB, "a", ""); }), HasSubstr("a (158 MB)"));
  EXPECT_THAT(error_of([&] { allocator.allocate(UINT64_MAX, "all", ""); }), HasSubstr("all ("));
  void* block = allocator.allocate(90 * kMB, "b", "");
  allocator.release(block);
  allocator.release(allocator.allocate(50 * kMB, "what only b's memory can hold", ""));
}

TEST(Allocator, RoundsToUnits) {
  EXPECT_EQ(Allocator::rounded(0), 512u);
  EXPECT_EQ(Allocator::rounded(513), 1024u);
  EXPECT_EQ(Allocator::rounded(kMB), kMB);
  EXPECT_EQ(Allocator::rounded(kMB + 1), 2 * kMB);
}

}  // namespace
}  // namespace aquatint::kernels::cuda
