// What the generic kernels (*.inl) use; included before an instruction set's target pragma, outside its
// namespace.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/input_rounding.h"
#include "kernels/kv_layout.h"
#include "kernels/ops.h"
#include "kernels/packed.h"
#include "kernels/scratch.h"
