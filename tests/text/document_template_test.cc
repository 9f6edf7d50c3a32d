#include "text/document_template.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "text/python_regex.h"

namespace aquatint::text {
namespace {

using nlohmann::ordered_json;
using testing::ElementsAre;

const ordered_json kDocument =
    ordered_json::parse(R"({"question": "Why?\n", "choices": {"text": ["it's", "b"], "label": ["A", "B"]},
  "answerKey": "B", "sentence": "the _ ran", "n": 3, "ctx": "[title] A  man."})");

std::string rendered(const std::string& source) { return DocumentTemplate(source, "t").render(kDocument); }
ordered_json valued(const std::string& source) { return DocumentTemplate(source, "t").value(kDocument); }

std::string error_of(const std::string& source) {
  try {
    return rendered(source);
  } catch (const base::BadInput& error) {
    return error.what();
  }
}

TEST(DocumentTemplate, KeepsWhiteSpaceAndTheLastNewline) {
  EXPECT_EQ(rendered("Q: {{question}}\n"), "Q: Why?\n\n");
  EXPECT_EQ(rendered("{% if n %}\n x\n{% endif %}\n"), "\n x\n\n");
}

TEST(DocumentTemplate, ValuesOfExpressions) {
  EXPECT_EQ(valued("{{choices.label.index(answerKey)}}"), 1);
  EXPECT_EQ(valued("{{choices.text}}"), ordered_json({"it's", "b"}));
  EXPECT_EQ(valued("{{[sentence.split('_')[0] + 'cat', n|string]}}"), ordered_json({"the cat", "3"}));
  EXPECT_EQ(valued(" {{n}}"), " 3");  // more than the expression: text
  EXPECT_EQ(valued("plain"), "plain");
}

TEST(DocumentTemplate, RegexReplace) {
  EXPECT_EQ(rendered(R"({{ctx|regex_replace('\\[.*?\\] (\\w)', '<\\1>')}})"), "<A>  man.");
}

TEST(DocumentTemplate, RefusesWhatTheDocumentLacks) {
  EXPECT_EQ(error_of("a\n{{missing}}"), "t:2: \"missing\" is undefined");
  EXPECT_EQ(error_of("{{missing|trim}}"), "t:1: \"missing\" is undefined");
  EXPECT_EQ(error_of("{{missing|default('x')}}"), "x");
  EXPECT_THROW(valued("{{choices.other}}"), base::BadInput);
}

TEST(PythonRegex, FindsGroupsAsPythonDoes) {
  const PythonRegex flexible("(-?[$0-9.,]{2,})|(-?[0-9]+)", "p");
  EXPECT_THAT(flexible.find_all("costs $12.50 or 7"),
              ElementsAre(ElementsAre("$12.50", ""), ElementsAre("", "7")));
  EXPECT_THAT(PythonRegex("#### (\\-?[0-9]+)", "p").find_all("a #### -42."), ElementsAre(ElementsAre("-42")));
  EXPECT_THAT(PythonRegex("[ab]", "p").find_all("a b"), ElementsAre(ElementsAre("a"), ElementsAre("b")));
  EXPECT_THAT(PythonRegex("x*", "p").find_all("éx"),
              ElementsAre(ElementsAre(""), ElementsAre("x"), ElementsAre("")));
}

TEST(PythonRegex, Replaces) {
  EXPECT_EQ(PythonRegex("(?s).*#### ", "p").replace_all("so\nit is #### 7", ""), "7");
  EXPECT_EQ(PythonRegex("\\.$", "p").replace_all("1.5.", ""), "1.5");
  EXPECT_EQ(PythonRegex("(a)(b)?", "p").replace_all("ab a", "\\2\\g<1>"), "ba a");
  EXPECT_EQ(PythonRegex("x\\Z", "p").replace_all("x\n", ""), "x\n");
  EXPECT_THROW(PythonRegex("(a)", "p").replace_all("a", "\\2"), base::BadInput);
  EXPECT_THROW(PythonRegex("(", "p"), base::BadInput);
  EXPECT_THROW(PythonRegex("(a+)+$", "p").find_all(std::string(64, 'a') + "b"), base::BadInput);
}

}  // namespace
}  // namespace aquatint::text
