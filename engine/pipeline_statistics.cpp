#include "engine/pipeline_statistics.h"

#include <algorithm>
#include <tuple>

#include "engine/error.h"
#include "engine/pipeline_impl.h"

namespace olivine {
namespace {

template <typename Function>
Function function_of(VkDevice device, const char* name) {
    const auto function = reinterpret_cast<Function>(vkGetDeviceProcAddr(device, name));
    if (!function)
        fail(Fault::unsupported, "The driver has no function %s.", name);
    return function;
}

double number(const VkPipelineExecutableStatisticKHR& statistic) {
    switch (statistic.format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: return statistic.value.b32 ? 1 : 0;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return static_cast<double>(statistic.value.i64);
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        return static_cast<double>(statistic.value.u64);
    default: return statistic.value.f64;
    }
}

}  // namespace

void capture_statistics(Device::Impl& device, VkPipeline pipeline, PipelineStatistics statistics) {
    VkPipelineInfoKHR info{VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR};
    info.pipeline = pipeline;
    const auto list_executables = function_of<PFN_vkGetPipelineExecutablePropertiesKHR>(
        device.device, "vkGetPipelineExecutablePropertiesKHR");
    uint32_t count = 0;
    VK(list_executables(device.device, &info, &count, nullptr));
    std::vector<VkPipelineExecutablePropertiesKHR> executables(
        count, {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR});
    VK(list_executables(device.device, &info, &count, executables.data()));
    if (count != 1)
        fail(Fault::unsupported, "The driver makes %u programs of shader %s (1 is supported).", count,
             statistics.shader.c_str());
    statistics.subgroup_size = executables[0].subgroupSize;

    const auto list_values = function_of<PFN_vkGetPipelineExecutableStatisticsKHR>(
        device.device, "vkGetPipelineExecutableStatisticsKHR");
    const VkPipelineExecutableInfoKHR executable{VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                                 nullptr, pipeline, 0};
    VK(list_values(device.device, &executable, &count, nullptr));
    std::vector<VkPipelineExecutableStatisticKHR> values(
        count, {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR});
    VK(list_values(device.device, &executable, &count, values.data()));
    for (const VkPipelineExecutableStatisticKHR& value : values)
        statistics.values.emplace_back(value.name, number(value));

    const std::lock_guard lock(device.statistics_mutex);
    device.statistics.push_back(std::move(statistics));
}

std::vector<PipelineStatistics> pipeline_statistics(Device& device) {
    Device::Impl& impl = device.impl();
    const auto unfinished = [&] {
        const std::lock_guard lock(impl.statistics_mutex);
        return std::exchange(impl.compiling, {});
    }();
    for (const std::shared_future<void>& compiled : unfinished)
        compiled.get();
    const std::lock_guard lock(impl.statistics_mutex);
    std::vector<PipelineStatistics> list = impl.statistics;
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
        return std::tie(a.shader, a.threads, a.constants) <
               std::tie(b.shader, b.threads, b.constants);
    });
    return list;
}

}  // namespace olivine
