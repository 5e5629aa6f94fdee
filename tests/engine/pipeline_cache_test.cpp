#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "engine/device_impl.h"
#include "engine/pipeline_cache_file.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"

namespace olivine::test {
namespace {

// A folder with the pipeline cache of a device that has compiled something.
class CacheFolder {
public:
    CacheFolder() : path_(std::filesystem::temp_directory_path() / name()) {
        Device device(options());
        RmsNorm op(device);
        GuardedRows from(device, 1, 8), weight(device, 1, 8), to(device, 1, 8);
        run(device, [&](Recorder& recorder) {
            op.record(recorder, from.activation(), weight.activation().slice, to.activation(), 0);
        });
        device.save_pipeline_cache();
    }
    ~CacheFolder() { std::filesystem::remove_all(path_); }

    DeviceOptions options() const {
        DeviceOptions options;
        options.cache_folder = path_.string();
        return options;
    }
    // The one file in it.
    std::filesystem::path file() const {
        std::filesystem::path found;
        uint32_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator(path_)) {
            found = entry.path();
            ++count;
        }
        REQUIRE(count == 1);
        return found;
    }

private:
    static std::string name() { return "olivine-cache-test-" + std::to_string(random_seed()); }
    static uint64_t random_seed() {
        return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    }
    std::filesystem::path path_;
};

std::string contents(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void replace(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

TEST_CASE("a pipeline cache is read back, and one that is damaged is not", "[engine][cache]") {
    const CacheFolder folder;
    const std::filesystem::path path = folder.file();
    const std::string good = contents(path);
    Device device(folder.options());
    // Loads the file as it is now; the number of bytes that reached the driver.
    const auto load = [&] {
        load_pipeline_cache(device.impl());
        return device.impl().cache_bytes_loaded;
    };
    const size_t whole = load();
    CHECK(whole > 0);
    CHECK(whole < good.size());

    uint32_t accepted = 0;
    for (size_t flip = 0; flip < good.size(); flip += flip < 200 ? 1 : 101) {
        std::string bad = good;
        bad[flip] = static_cast<char>(bad[flip] ^ (1 << flip % 8));
        replace(path, bad);
        accepted += load() != 0;
    }
    CHECK(accepted == 0);
    replace(path, good + '\0');
    CHECK(load() == 0);
    replace(path, std::string(good.size(), '\0'));
    CHECK(load() == 0);
    replace(path, good);
    CHECK(load() == whole);
    for (size_t length = good.size(); length-- > 0;) {
        std::filesystem::resize_file(path, length);
        accepted += load() != 0;
    }
    CHECK(accepted == 0);
    std::filesystem::remove(path);
    CHECK(load() == 0);
    CHECK(device.validation_messages() == 0);
}

TEST_CASE("a cache folder that cannot be written is no error", "[engine][cache]") {
    DeviceOptions options;
    options.cache_folder = "/proc/no/such/folder";
    Device device(options);
    device.save_pipeline_cache();
    CHECK(device.impl().cache_bytes_loaded == 0);
}

TEST_CASE("a cache file is for one driver only, and may be empty", "[cpu][cache]") {
    const PipelineCacheOwner owner{1, 2, 3, 4, {5, 6}};
    const std::string body = "pipelines";
    const std::vector<char> file = pack_pipeline_cache(owner, body);
    const std::span<const char> read = unpack_pipeline_cache(owner, file);
    CHECK(std::string(read.begin(), read.end()) == body);
    PipelineCacheOwner updated = owner;
    ++updated.driver_version;
    CHECK(unpack_pipeline_cache(updated, file).empty());
    CHECK(unpack_pipeline_cache(owner, pack_pipeline_cache(owner, {})).empty());
    CHECK(unpack_pipeline_cache(owner, {}).empty());
}

}  // namespace olivine::test
