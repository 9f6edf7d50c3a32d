#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/hash.h"
#include "base/processors.h"
#include "base/rng.h"

namespace aquatint::base {
namespace {

TEST(ThreadPool, CoversEveryIndexOnceForAnySize) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (int64_t count : {0, 1, 2, 5, 64, 65, 1000})
      for (int64_t grain : {1, 3, 16}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(count));
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          EXPECT_EQ(begin % grain, 0);
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
        });
        for (const auto& hit : hits) ASSERT_EQ(hit, 1) << threads << " " << count << " " << grain;
      }
  }
}

TEST(ThreadPool, RunsEachWorkerOnceManyTimes) {
  ThreadPool pool(4);
  std::vector<int64_t> sums(4);
  for (int round = 0; round < 2000; ++round)
    pool.run([&](int worker) { sums[static_cast<size_t>(worker)] += worker; });
  for (int worker = 0; worker < 4; ++worker) EXPECT_EQ(sums[static_cast<size_t>(worker)], 2000 * worker);
}

TEST(ThreadPool, RethrowsFromAnyWorkerAndGoesOn) {
  ThreadPool pool(3);
  for (int failing : {0, 1, 2})
    EXPECT_THROW(pool.run([&](int worker) {
      if (worker == failing) throw std::runtime_error("x");
    }),
                 std::runtime_error);
  std::atomic<int> ran = 0;
  pool.run([&](int) { ++ran; });
  EXPECT_EQ(ran, 3);
}

TEST(ThreadPool, EveryPartRunsOnceBesideASleeper) {
  ThreadPool pool(8);
  for (int round = 0; round < 300; ++round) {
    std::atomic<int> ran = 0;
    pool.run([&](int worker) {
      if (worker == round % 8) std::this_thread::sleep_for(std::chrono::microseconds(200));
      ++ran;
    });
    ASSERT_EQ(ran, 8);
  }
}

TEST(ThreadPool, TheCallersAffinityStaysItsOwn) {
  const std::vector<int> before = allowed_processors();
  {
    ThreadPool pool(usable_cpus());
    pool.run([](int) {});
    EXPECT_EQ(allowed_processors(), before);
  }
  EXPECT_EQ(allowed_processors(), before);
}

TEST(Rng, IsTheSameEverywhere) {
  Rng rng(1234567);
  EXPECT_EQ(rng.next(), 6457827717110365317u);  // reference vector of SplitMix64
  EXPECT_EQ(rng.next(), 3203168211198807973u);
  double mean = 0, square = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.normal();
    mean += x / kDraws;
    square += x * x / kDraws;
  }
  EXPECT_NEAR(mean, 0, 5 / std::sqrt(kDraws));  // five standard errors
  EXPECT_NEAR(square, 1, 5 * std::sqrt(2.0 / kDraws));
}

TEST(Hash, MatchesTheStandardVectors) {
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span("abc", 3))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace aquatint::base
