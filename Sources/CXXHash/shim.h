// xxHash (XXH3), linked from the system library.
#pragma once
#include <xxhash.h>
