#include "plan/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "plan/choice.h"

namespace aquatint::plan {
namespace {

using ::testing::HasSubstr;

TEST(Device, IsFoundByAnyOfItsNames) {
  EXPECT_EQ(find_device("h100").name, "H100-80G");
  EXPECT_EQ(find_device("RTX 4090").name, "RTX4090");
  try {
    find_device("H100-90G");
    FAIL();
  } catch (const base::BadUsage& e) {
    EXPECT_THAT(e.what(), HasSubstr("did you mean 'H100-80G'"));
  }
}

// What the field states wrongly (claim P9).
TEST(Device, HasTheUnitsItHas) {
  EXPECT_GT(find_device("L40S").rate("fp8_e4m3"), 0);
  EXPECT_GT(find_device("RTX4090").rate("fp8_e4m3"), 0);
  EXPECT_GT(find_device("RTX3090").rate("bf16"), 0);
  EXPECT_GT(find_device("A10G").rate("int4"), 0);
  for (const char* name : {"H100-80G", "H200", "B200"}) EXPECT_EQ(find_device(name).rate("int4"), 0) << name;
  for (const char* name : {"A100-80G", "A10G", "RTX3090"})
    EXPECT_EQ(find_device(name).rate("fp8_e4m3"), 0) << name;
  EXPECT_GT(find_device("B200").rate("fp4_e2m1"), 0);
  EXPECT_NEAR(find_device("H200").memory_bytes / (1 << 30), 141, 1);
  EXPECT_GT(find_device("B200").memory_bytes, 180e9);
}

// Dense rates: no format is more than twice as fast as one twice as wide, as sparse figures would be.
TEST(Device, RatesAreDense) {
  for (const Device& d : devices()) {
    EXPECT_EQ(d.rate("bf16"), d.rate("fp16")) << d.name;
    for (const char* eight : {"fp8_e4m3", "int8"}) EXPECT_LE(d.rate(eight), 4.01 * d.rate("bf16")) << d.name;
    EXPECT_LE(d.rate("tf32"), 0.51 * d.rate("bf16")) << d.name;
    EXPECT_FALSE(d.source.empty());
  }
}

TEST(Execution, IsNativeOrSaysWhatItRunsIn) {
  const Device &h100 = find_device("H100"), &a100 = find_device("A100");
  EXPECT_EQ(execution(find_choice("FP8_DYNAMIC"), h100).format, "fp8_e4m3");
  const Execution fp8 = execution(find_choice("FP8_DYNAMIC"), a100);
  EXPECT_FALSE(fp8.native);
  EXPECT_EQ(fp8.format, "bf16");
  EXPECT_THAT(fp8.note, HasSubstr("A100-80G has no fp8_e4m3 units"));
  const Execution w4a16 = execution(find_choice("W4A16"), h100);
  EXPECT_TRUE(w4a16.native && w4a16.dequantized);
  EXPECT_EQ(w4a16.format, "bf16");
  EXPECT_EQ(execution(find_choice("W4A4"), a100).format, "int4");
  EXPECT_EQ(execution(find_choice("W4A4"), h100).format, "int8");
  EXPECT_EQ(execution(find_choice("NVFP4"), find_device("B200")).format, "fp4_e2m1");
  EXPECT_EQ(execution(find_choice("NVFP4"), h100).format, "bf16");
}

}  // namespace
}  // namespace aquatint::plan
