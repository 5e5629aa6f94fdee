// Makes every Vulkan call of a few programs fail in turn, each with three results, and checks that
//
//   * the program ends with the Error of that kind, or goes on where the engine can do without;
//   * every object is destroyed, none twice, and none that the device may still be using;
//   * after being out of memory the same device still gives the right result;
//   * the next program gives the right result.
//
// Three scenarios are other: in "survive" the device is lost in the middle of a conversation, which goes on
// with the same words; in "memory" there is none for a request, and the same generator then answers it; in
// "background" the system does not permit the low priority that a queue asks for.
//
// "embed" and "adopted" are programs of libolivine: its codes are the errors, and it makes good what it can.
//
//   olivine_faults [SCENARIO...]     of: list run gpu checked generate stream embed adopted survive memory
//                                    background; all without arguments
//
// A crash or a hang is a failure too, which the caller sees. Exit code 0, 1, or 77 without a device.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "engine/device_impl.h"
#include "engine/error.h"
#include "engine/ops/linear.h"
#include "engine/ops/residual_norm.h"
#include "engine/ops/rms_norm.h"
#include "engine/queue_infos.h"
#include "engine/selftest/random.h"
#include "model/checkpoint.h"
#include "model/generator.h"
#include "tests/faults/embed_program.h"
#include "tests/faults/vulkan_faults.h"

using namespace olivine;
using namespace olivine::selftest;
using namespace olivine::test;

namespace {

// ---- the programs ----------------------------------------------------------------------------

// Everything that a program gives, for a comparison bit for bit.
using Result = std::vector<std::byte>;

// What a program finds wrong with itself.
struct Wrong {
    std::string what;
};

// Runs `work` on a device of its own, and once more on the same when that is out of memory.
Result on_device(const std::string& name, const DeviceOptions& options,
                 const std::function<Result(Device&)>& work) {
    Device device(options);
    try {
        return work(device);
    } catch (const Error& error) {  // the thing under test
        if (device.bytes_now() != 0)
            throw Wrong{format_text("%llu bytes are still paid for",
                                    static_cast<unsigned long long>(device.bytes_now()))};
        if (error.fault() != Fault::out_of_memory)
            throw;
        static std::map<std::string, Result> results;  // by the program's name
        Result& right = results[name];
        if (right.empty())
            right = work(device);
        else if (work(device) != right)
            throw Wrong{"the same device gives another result after being out of memory"};
        throw;
    }
}

Result list() {
    std::string names;
    for (const DeviceInfo& device : list_devices())
        names += device.name + "\n";
    const auto bytes = std::as_bytes(std::span(names));
    return {bytes.begin(), bytes.end()};
}

// Three operations in two slices, with their buffers filled and read every way there is.
Result operate(Device& device) {
    constexpr uint32_t kRows = 32, kCols = 64;
    const auto floats = [&](uint32_t count, uint32_t seed) {
        Buffer buffer(device, Arena::activations, count * 4);
        const std::vector<float> values = random_floats(count, -1, 1, seed);
        write(device, buffer.slice(), std::as_bytes(std::span(values)));
        return buffer;
    };
    RmsNorm rms_norm(device);
    ResidualNorm residual_norm(device);
    Linear linear(device);
    const FileRows rows = random_rows(DataType::q8_0, kRows, kCols, 1);
    Matrix matrix(device, rows.type, rows.rows, rows.cols);
    const RowSource source{rows.type, rows.rows,
                           [&](uint32_t first, uint32_t count, std::span<std::byte> out) {
                               std::memcpy(out.data(), rows.bytes.data() + first * rows.row_bytes(),
                                           count * rows.row_bytes());
                           }};
    Uploader uploader(device);
    matrix.upload(uploader, {&source, 1}, RowOrder::stacked);
    uploader.flush();

    const Buffer weight = floats(kCols, 2), input = floats(kCols, 3), stream = floats(kRows, 4),
                 norms = floats(2 * kRows, 5);
    const Buffer normed(device, Arena::activations, kCols * 4);
    const Buffer branch(device, Arena::activations, kRows * 4);
    const Buffer output(device, Arena::activations, kRows * 4);
    const auto row = [](const Buffer& buffer, uint32_t cols) {
        return Activation{buffer.slice(0, cols * 4), 1, cols, cols};
    };
    Recorder recorder(device, "operate");
    rms_norm.record(recorder, row(input, kCols), weight.slice(), row(normed, kCols), 1e-6f);
    linear.record(recorder, matrix, row(normed, kCols), row(branch, kRows));
    recorder.cut();
    residual_norm.record(recorder, row(branch, kRows), norms.slice(), row(stream, kRows), row(output, kRows),
                         1e-6f);
    Plan plan = recorder.finish();
    plan.run();
    (void)plan.gpu_seconds();
    plan.wait(plan.submit());
    Result result(kRows * 4);
    read(device, output.slice(0, kRows * 4), result);
    return result;
}

const Checkpoint& tiny_model() {
    static const std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(OLIVINE_TEST_MODEL);
    return *checkpoint;
}

constexpr ContextOptions kContext{.context = 64, .sequences = 1, .kv = KvType::f16};

// A tiny model, read as the first pass needs it, says a few words. With each, `each` is called with how many there are.
Result generate(Device& device, const std::function<void(Model&, size_t)>& each = {}) {
    ModelOptions options;
    options.context = kContext;
    options.as_needed = true;
    Model model(device, tiny_model(), options);
    Generator generator(model, kContext);
    GenerateRequest request;
    request.prompt = {2, 10, 20, 30};
    request.max_tokens = 3;
    request.sampler.temperature = 0;
    size_t drawn = 0;
    const std::vector<GenerateResult> answers =
        generator.generate({&request, 1}, [&](uint32_t, int32_t) {
            if (each)
                each(model, ++drawn);
            return true;
        });
    device.wait_idle();  // also for weights on their way
    const auto bytes = std::as_bytes(std::span(answers[0].ids));
    return {bytes.begin(), bytes.end()};
}

// The same with streamed weights, which move to the device and away again.
Result stream(Device& device) {
    const ModelBytes bytes = model_bytes(tiny_model(), kContext);
    const uint64_t least = residency(tiny_model().config(), bytes, kContext, 0).least_bytes;
    device.set_budget(least);
    return generate(device, [&](Model& model, size_t drawn) {
        model.set_budget(drawn == 1 ? 2 * bytes.total() : least);
    });
}

struct Scenario {
    const char* name;
    const char* what;
    std::function<Result()> program;
    uint32_t most;  // calls of one function that fail, spread over all of them; 1: the middle one
    bool through_c = false;  // which makes good more than what is dispensable
    std::vector<VkResult> results = {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY,
                                     VK_ERROR_DEVICE_LOST};
    std::set<std::string> not_ours = {};  // calls of the program itself
};

std::vector<Scenario> scenarios(const std::string& cache_folder) {
    DeviceOptions plain, gpu, checked;
    plain.cache_folder = cache_folder;
    gpu.cache_folder = cache_folder;
    gpu.as_gpu = true;
    gpu.rebuilds = 0;  // "survive" has them
    checked.validation = true;
    return {
        {"list", "devices are listed", list, 100},
        {"run", "operations, memory mapped",
         [=] {
             std::filesystem::remove_all(plain.cache_folder);
             return on_device("run", plain, operate);
         },
         100},
        {"gpu", "operations, memory reached by copies",
         [=] { return on_device("gpu", gpu, operate); }, 8},
        {"checked", "a device with validation layers",
         [=] {
             const Device device(checked);
             return Result(1);
         },
         2},
        {"generate", "a model says three tokens",
         [=] {
             return on_device("generate", gpu, [](Device& device) { return generate(device); });
         },
         3},
        {"stream", "it says them while its weights move",
         [=] { return on_device("stream", gpu, stream); }, 4},
        {"embed", "a conversation through olivine.h, on a device of the library's",
         [] { return talk_through_c(false); }, 1, true},
        {"adopted", "the same on a device of the program's, which is lost",
         [] { return talk_through_c(true); }, 1, true, {VK_ERROR_DEVICE_LOST},
         {"vkCreateInstance", "vkEnumeratePhysicalDevices", "vkCreateDevice"}},
    };
}

// ---- one fault -------------------------------------------------------------------------------

// Calls that the engine can do without: a cache, a time for a display, the wait before a device is
// destroyed. When memory cannot be had or mapped, the memory allocator tries again with less. (Once
// the device is lost, what comes after them tells.)
const std::set<std::string> dispensable = {"vkCreatePipelineCache", "vkGetPipelineCacheData",
                                           "vkGetQueryPoolResults", "vkDeviceWaitIdle",
                                           "vkAllocateMemory",      "vkMapMemory"};

struct Outcome {
    bool error = false;  // else the program went on to the right result
    std::string wrong;   // what must not be; empty = passed
};

Outcome run_with(const Scenario& scenario, const VulkanFault& fault, const Result& right) {
    Outcome outcome;
    watch_vulkan(fault);
    try {
        if (scenario.program() != right)
            outcome.wrong = "the result is another";
    } catch (const Error& error) {  // the thing under test
        outcome.error = true;
        const Fault wanted = fault.result == VK_ERROR_DEVICE_LOST ? Fault::device_lost
                                                                  : Fault::out_of_memory;
        if (error.fault() != wanted)
            outcome.wrong = std::string("the error is of another kind: ") + error.what();
    } catch (const Wrong& wrong) {
        outcome.error = true;
        outcome.wrong = wrong.what;
    } catch (const std::exception& error) {
        outcome.wrong = std::string("another exception comes out: ") + error.what();
    }
    const VulkanReport report = take_vulkan_report();
    if (!report.injected)
        outcome.wrong = "the call never came";
    else if (!report.misuse.empty())
        outcome.wrong = report.misuse.front();
    else if (outcome.wrong.empty() && !outcome.error && !scenario.through_c &&
             !dispensable.count(fault.function))
        outcome.wrong = "nobody noticed";
    return outcome;
}

const char* result_name(VkResult result) {
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    default: return "VK_ERROR_DEVICE_LOST";
    }
}

struct Count {
    uint32_t passed = 0, failed = 0, skipped = 0;
};

// A fault at call after call of the scenario; after each, `next` must be right.
Count fail_in_turn(const Scenario& scenario, const Scenario& next) {
    Count count;
    const auto fails = [&](const std::string& what) {
        ++count.failed;
        std::printf("%s: FAILED: %s\n", scenario.name, what.c_str());
    };
    watch_vulkan();
    const Result next_right = next.program();
    scenario.program();  // fills caches, so that from now on the calls are the same each time
    watch_vulkan();
    const Result right = scenario.program();
    const VulkanReport normal = take_vulkan_report();
    for (const std::string& misuse : normal.misuse)
        fails("without a fault: " + misuse);

    uint32_t calls = 0;
    std::printf("%s: %s\n  %-50s %6s %6s %6s %8s\n", scenario.name, scenario.what, "call", "calls",
                "faults", "errors", "absorbed");
    for (const auto& [function, times] : normal.calls) {
        calls += times;
        if (scenario.not_ours.count(function))
            continue;
        const uint32_t tried = std::min(times, scenario.most);
        uint32_t faults = 0, errors = 0;
        for (uint32_t i = 0; i < tried; ++i) {
            const uint32_t occurrence =
                tried == 1 ? (times + 1) / 2
                           : 1 + static_cast<uint32_t>(uint64_t{i} * (times - 1) / (tried - 1));
            for (const VkResult result : scenario.results) {
                // In a conversation one at the last call, too: while it answers, or weights move.
                const uint32_t at =
                    scenario.through_c && result == VK_ERROR_OUT_OF_DEVICE_MEMORY ? times : occurrence;
                Outcome outcome = run_with(scenario, {function, at, result}, right);
                watch_vulkan();
                if (outcome.wrong.empty() && next.program() != next_right)
                    outcome.wrong = "the next program gives another result";
                ++faults;
                errors += outcome.error;
                if (outcome.wrong.empty())
                    ++count.passed;
                else
                    fails(format_text("%s at call %u of %s: %s", result_name(result), at,
                                      function.c_str(), outcome.wrong.c_str()));
            }
        }
        std::printf("  %-50s %6u %6u %6u %8u\n", function.c_str(), times, faults, errors,
                    faults - errors);
    }
    std::printf("  %-50s %6u %6u\n", "", calls, count.passed + count.failed);
    std::fflush(stdout);
    return count;
}

// ---- conversations -----------------------------------------------------------------------------

GenerateRequest request_of(std::vector<int32_t> prompt) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = 20;
    request.sampler = {.temperature = 0.8f, .seed = 5};
    return request;
}

// Three turns, each behind what the one before has drawn.
std::vector<int32_t> converse(const DeviceOptions& options) {
    Device device(options);
    ModelOptions as_needed;
    as_needed.as_needed = true;
    Model model(device, tiny_model(), as_needed);
    Generator generator(model, {.context = 96, .sequences = 1, .chain_seconds = 0, .kv = KvType::f16});
    std::vector<int32_t> text = {2, 10, 20, 30, 40};
    for (const int32_t next : {50, 60, 70}) {
        text.push_back(next);
        const GenerateRequest request = request_of(text);
        size_t told = 0;
        const std::vector<GenerateResult> answers =
            generator.generate({&request, 1}, [&](uint32_t, int32_t) { return ++told > 0; });
        if (told != answers[0].ids.size())
            throw Wrong{"an id is told twice, or never"};
        text.insert(text.end(), answers[0].ids.begin(), answers[0].ids.end());
    }
    return text;
}

// What a run of `work` comes to that must end well.
std::string wrong_with(const std::function<bool()>& work) {
    try {
        return work() ? "" : "the ids are others";
    } catch (const Wrong& wrong) {
        return wrong.what;
    } catch (const Error& error) {
        return std::string("an error comes out: ") + error.what();
    }
}

Count survive() {
    Count count;
    const auto check = [&](const std::string& wrong, const std::string& where) {
        ++(wrong.empty() ? count.passed : count.failed);
        if (!wrong.empty())
            std::printf("survive: FAILED: %s: %s\n", where.c_str(), wrong.c_str());
    };
    DeviceOptions options;
    uint32_t rebuilt = 0;
    options.rebuilt = [&] { ++rebuilt; };
    converse(options);
    watch_vulkan();
    const std::vector<int32_t> right = converse(options);
    const VulkanReport normal = take_vulkan_report();
    check(rebuilt == 0 ? "" : "it is made anew without a loss", "without a fault");

    // None of these is called before there is a device. 200 losses; half as many with the sanitizers, which
    // take three times as long.
#ifdef __SANITIZE_ADDRESS__
    constexpr uint32_t kShare = 2;
#else
    constexpr uint32_t kShare = 1;
#endif
    const std::map<std::string, uint32_t> losses = {{"vkQueueSubmit2", 80 / kShare},
                                                    {"vkWaitSemaphores", 80 / kShare},
                                                    {"vkCreateBuffer", 24 / kShare},
                                                    {"vkCreateComputePipelines", 8 / kShare},
                                                    {"vkEndCommandBuffer", 8 / kShare}};
    for (const auto& [function, most] : losses) {
        const uint32_t times = normal.calls.at(function), tried = std::min(times, most);
        for (uint32_t i = 0; i < tried; ++i) {
            const uint32_t occurrence =
                tried == 1 ? 1 : 1 + static_cast<uint32_t>(uint64_t{i} * (times - 1) / (tried - 1));
            rebuilt = 0;
            watch_vulkan({function, occurrence, VK_ERROR_DEVICE_LOST});
            std::string wrong = wrong_with([&] { return converse(options) == right; });
            const VulkanReport report = take_vulkan_report();
            if (wrong.empty() && !report.misuse.empty())
                wrong = report.misuse.front();
            if (wrong.empty() && (!report.injected || rebuilt != 1))
                wrong = "nobody noticed";
            check(wrong, format_text("lost in call %u of %s", occurrence, function.c_str()));
        }
        std::printf("  %-50s %6u %6u\n", function.c_str(), times, tried);
    }

    // A device that is lost again and again.
    watch_vulkan({"vkQueueSubmit2", normal.calls.at("vkQueueSubmit2") / 2, VK_ERROR_DEVICE_LOST, true});
    rebuilt = 0;
    try {
        converse(options);
        check("it goes on", "lost for good");
    } catch (const Error& error) {  // the thing under test
        const VulkanReport report = take_vulkan_report();
        check(error.fault() != Fault::device_lost ? error.what()
              : rebuilt != options.rebuilds       ? "it is made anew another number of times"
              : !report.misuse.empty()            ? report.misuse.front()
                                                  : "",
              "lost for good");
    }
    return count;
}

// A call of the request's that finds no memory, and the request once more.
std::string answers_without(const std::string& function, uint32_t occurrence, Generator& generator,
                            const GenerateRequest& request, const std::vector<int32_t>& right) {
    const auto ids = [&] { return generator.generate({&request, 1})[0].ids; };
    go_on_watching({function, occurrence, VK_ERROR_OUT_OF_DEVICE_MEMORY});
    try {
        // A cache that finds no room for a larger buffer beside the old one does with the larger alone.
        const bool made_good =
            dispensable.count(function) || function == "vkCreateBuffer" || function == "vkBindBufferMemory";
        if (ids() != right || !made_good)
            return "nobody noticed";
    } catch (const Error& error) {  // the thing under test
        if (error.fault() != Fault::out_of_memory)
            return std::string("the error is of another kind: ") + error.what();
    }
    if (!go_on_watching().injected)
        return "the call never came";
    return wrong_with([&] { return ids() == right; });
}

Count memory() {
    constexpr uint32_t kMost = 2;  // calls of a function that fail
    Count count;
    Device device;
    // Whatever the clock says, the calls are the same each time.
    const ContextOptions options{
        .context = 1200, .sequences = 1, .slice_seconds = 1000, .chain_seconds = 0, .kv = KvType::f16};
    const auto fail_each = [&](const std::map<std::string, uint32_t>& calls, Model* model,
                               const GenerateRequest& request, const std::vector<int32_t>& right) {
        for (const auto& [function, times] : calls) {
            const uint32_t tried = std::min(times, kMost);
            for (uint32_t i = 0; i < tried; ++i) {
                const uint32_t occurrence =
                    tried == 1 ? 1 : 1 + static_cast<uint32_t>(uint64_t{i} * (times - 1) / (tried - 1));
                std::unique_ptr<Model> own;
                if (!model)
                    own = std::make_unique<Model>(device, tiny_model());
                Generator generator(model ? *model : *own, options);
                const std::string wrong = answers_without(function, occurrence, generator, request, right);
                ++(wrong.empty() ? count.passed : count.failed);
                if (!wrong.empty())
                    std::printf("memory: FAILED: call %u of %s: %s\n", occurrence, function.c_str(),
                                wrong.c_str());
            }
            std::printf("  %-50s %6u %6u\n", function.c_str(), times, tried);
        }
    };
    // What the first request of a model takes memory for: pipelines.
    watch_vulkan();
    Model model(device, tiny_model());
    const GenerateRequest brief = request_of({2, 10, 20});
    go_on_watching();
    const std::vector<int32_t> brief_ids = Generator(model, options).generate({&brief, 1})[0].ids;
    std::map<std::string, uint32_t> calls = go_on_watching().calls;
    std::erase_if(calls, [](const auto& call) {
        return call.first != "vkCreateShaderModule" && call.first != "vkCreateComputePipelines" &&
               call.first != "vkCreatePipelineLayout" && call.first != "vkCreateDescriptorSetLayout";
    });
    fail_each(calls, nullptr, brief, brief_ids);

    // And any request: this one is longer than the page that a cache begins with.
    const GenerateRequest request = request_of(std::vector<int32_t>(1030, 7));
    const std::vector<int32_t> ids = Generator(model, options).generate({&request, 1})[0].ids;
    Generator plain(model, options);
    go_on_watching();
    plain.generate({&request, 1});
    calls = go_on_watching().calls;
    calls.erase("vkWaitSemaphores");  // which take no memory
    calls.erase("vkGetQueryPoolResults");
    fail_each(calls, &model, request, ids);
    return count;
}

// A low priority that the system refuses is done without, and is the only thing that is.
Count background() {
    Count count;
    DeviceOptions options;
    options.background = true;
    bool listed = false;
    {
        const Device device(options);
        const uint32_t family = device.info().queue_family;
        listed = QueueInfos(family, {family, 0}, true, global_priorities(device.impl().physical).families).low();
    }
    const auto runs = [&](const std::string& what, bool in_background, bool refused) {
        options.background = in_background;
        watch_vulkan({"vkCreateDevice", refused ? 1u : 0u, VK_ERROR_NOT_PERMITTED_KHR});
        std::string wrong;
        uint32_t made = 1;
        try {
            const Device device(options);
        } catch (const Error&) {  // the thing under test
            made = 0;
        }
        const VulkanReport report = take_vulkan_report();
        made += report.calls.at("vkCreateDevice") - 1;
        const uint32_t want = !refused ? 1 : in_background && listed ? 2 : 0;
        if (made != want)
            wrong = format_text("vkCreateDevice comes to %u instead of %u", made, want);
        else if (!report.misuse.empty())
            wrong = report.misuse.front();
        ++(wrong.empty() ? count.passed : count.failed);
        if (!wrong.empty())
            std::printf("background: FAILED: %s: %s\n", what.c_str(), wrong.c_str());
    };
    runs("usual", false, false);
    runs("usual, refused", false, true);
    runs("background", true, false);
    runs("background, refused", true, true);
    std::printf("background: the low priority is %s\n", listed ? "listed" : "not listed");
    return count;
}

}  // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // a crash leaves what was written before
    const std::vector<std::string> wanted(argv + 1, argv + argc);
    const std::string folder =
        (std::filesystem::temp_directory_path() / format_text("olivine-faults-%d", getpid())).string();
    const std::vector<Scenario> all = scenarios(folder);
    Count total;
    const auto run = [&](const char* name, const std::function<Count()>& test) {
        if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), name) == wanted.end())
            return;
        try {
            const Count count = test();
            total.passed += count.passed;
            total.failed += count.failed;
        } catch (const Error& error) {
            // Validation layers need not be there.
            if (error.fault() == Fault::unsupported && std::string_view(name) == "checked") {
                std::printf("%s: skipped: %s\n", name, error.what());
                ++total.skipped;
                return;
            }
            std::printf("%s: FAILED: %s\n", name, error.what());
            ++total.failed;
        }
    };
    for (const Scenario& scenario : all)
        run(scenario.name, [&] { return fail_in_turn(scenario, all[1]); });
    run("survive", survive);
    run("memory", memory);
    run("background", background);
    std::filesystem::remove_all(folder);
    std::printf("%u passed, %u failed, %u skipped\n", total.passed, total.failed, total.skipped);
    return total.failed > 0 ? 1 : total.passed == 0 ? 77 : 0;
}
