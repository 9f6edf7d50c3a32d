// SHA-256 (FIPS 180-4), for identifying models and recipes.
#pragma once
#include <memory>
#include <string>

#include "base/bytes.h"

namespace aquatint::base {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(Bytes bytes);
  std::string hex();  // 64 lower-case digits; call once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(Bytes bytes);

}  // namespace aquatint::base
