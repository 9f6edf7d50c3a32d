#include "runtime/chat.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/fake_checkpoint.h"

namespace aquatint::runtime {
namespace {

constexpr const char* kTemplate =
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}";

test::FakeCheckpoint with(std::initializer_list<checkpoint::SideFile> files) {
  test::FakeCheckpoint checkpoint;
  checkpoint.files = files;
  return checkpoint;
}

std::string rendered(const test::FakeCheckpoint& checkpoint) {
  return Chat::load(checkpoint)->render({{{"role", "user"}, {"content", "hi"}}}, true);
}

TEST(Chat, FindsTheTemplateWhereverItLies) {
  const base::Json tokens = {{"bos_token", {{"content", "<s>"}}}};
  base::Json text = tokens, list = tokens;
  text["chat_template"] = kTemplate;
  list["chat_template"] = {{{"name", "tool_use"}, {"template", "x"}},
                           {{"name", "default"}, {"template", kTemplate}}};
  const std::string expected = "<s>[user] hi\n[assistant]";
  EXPECT_EQ(rendered(with({{"tokenizer_config.json", text.dump()}})), expected);
  EXPECT_EQ(rendered(with({{"tokenizer_config.json", list.dump()}})), expected);
  EXPECT_EQ(rendered(with({{"tokenizer_config.json", tokens.dump()}, {"chat_template.jinja", kTemplate}})),
            expected);
}

TEST(Chat, PassesNoTools) {
  const auto checkpoint =
      with({{"chat_template.jinja",
             "{{ 'some' if tools is not none or documents is not none else 'no' }} tools"}});
  EXPECT_EQ(Chat::load(checkpoint)->render(nlohmann::ordered_json::array(), true), "no tools");
}

TEST(Chat, IsAbsentOrRefused) {
  EXPECT_EQ(Chat::load(with({})), nullptr);
  EXPECT_EQ(Chat::load(with({{"tokenizer_config.json", "{}"}})), nullptr);
  EXPECT_THROW(Chat::load(with({{"chat_template.jinja", "{% if %}"}})), base::BadInput);
  EXPECT_THROW(Chat::load(with({{"tokenizer_config.json", "[]"}})), base::BadInput);
}

}  // namespace
}  // namespace aquatint::runtime
