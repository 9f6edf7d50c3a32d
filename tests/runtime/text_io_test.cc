#include "runtime/text_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../model/fake_checkpoint.h"
#include "base/error.h"

namespace aquatint::runtime {
namespace {

using test::FakeCheckpoint;
using ::testing::ElementsAre;

FakeCheckpoint with_files(std::vector<checkpoint::SideFile> files) {
  FakeCheckpoint checkpoint;
  checkpoint.files = std::move(files);
  return checkpoint;
}

TEST(StopIds, ComeFromBothConfigs) {
  model::Config config;
  config.vocab_size = 100;
  config.eos_ids = {2};
  EXPECT_THAT(stop_ids(FakeCheckpoint(), config), ElementsAre(2));
  EXPECT_THAT(stop_ids(with_files({{"generation_config.json", R"({"eos_token_id": [7, 2, 100]})"}}), config),
              ElementsAre(2, 7));
  EXPECT_THAT(stop_ids(with_files({{"generation_config.json", R"({"eos_token_id": 9})"}}), config),
              ElementsAre(2, 9));
  EXPECT_THAT(stop_ids(with_files({{"generation_config.json", R"({"eos_token_id": null})"}}), config),
              ElementsAre(2));
}

TEST(Tokenizer, MissingIsAnError) { EXPECT_THROW(load_tokenizer(FakeCheckpoint()), base::BadInput); }

}  // namespace
}  // namespace aquatint::runtime
