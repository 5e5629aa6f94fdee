#define VMA_IMPLEMENTATION
#include "engine/vma.h"
