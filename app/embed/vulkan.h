// What a program with a Vulkan device of its own hands over, as the engine takes it.
#pragma once

#include "app/embed/olivine.h"
#include "engine/host_device.h"

namespace olivine {

// Throws bad_input for what must be there or given together.
HostDevice host_device(const olv_vulkan& given);
HostImage host_image(const olv_vulkan_image& given);

}  // namespace olivine
