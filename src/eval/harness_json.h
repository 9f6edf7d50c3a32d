// How files of lm-evaluation-harness are looked into. Internal to harness_results.cc and harness_samples.cc.
#pragma once
#include "base/json.h"

namespace aquatint::eval {

// The value of `key` where that is an object; else an empty one.
inline const base::Json& object_or_empty(const base::Json& json, const char* key) {
  static const base::Json kEmpty = base::Json::object();
  const auto found = json.find(key);
  return found != json.end() && found->is_object() ? *found : kEmpty;
}

}  // namespace aquatint::eval
