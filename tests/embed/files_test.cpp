// Models in memory and behind callbacks, files that vanish, and loading that is stopped.
#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "app/embed/olivine.h"
#include "tests/embed/support.h"

using namespace olivine::test;

namespace {

namespace fs = std::filesystem;

// A file of the built-in model in a program's pak.
struct Packed {
    std::string name, bytes;
    std::atomic<uint32_t> reads = 0, at_once = 0;
    std::atomic<bool> overlapped = false;
    uint32_t fails_at = UINT32_MAX;  // which read does
    std::chrono::milliseconds takes{0};

    static int32_t read(void* user, uint64_t offset, void* to, uint64_t count) {
        Packed& file = *static_cast<Packed*>(user);
        if (file.at_once++ > 0)
            file.overlapped = true;
        std::this_thread::sleep_for(file.takes);
        const bool fails = file.reads++ >= file.fails_at;
        if (!fails)
            std::memcpy(to, file.bytes.data() + offset, count);
        --file.at_once;
        return fails ? -1 : 0;
    }
};

struct Pak {
    explicit Pak(const std::string& folder = {}) {
        for (const char* name : {"config.json", "model.safetensors", "tokenizer.model"}) {
            Packed& file = files.emplace_back();
            std::ifstream stream(fs::path(OLIVINE_TEST_MODEL) / name, std::ios::binary);
            file.name = folder + name;
            file.bytes.assign(std::istreambuf_iterator<char>(stream), {});
        }
    }
    std::vector<olv_file> given(bool in_memory) {
        std::vector<olv_file> all;
        for (Packed& file : files) {
            olv_file& each = all.emplace_back(olv_file OLV_FILE);
            each.name = file.name.c_str();
            each.bytes = file.bytes.size();
            if (in_memory)
                each.data = file.bytes.data();
            else
                each.read = Packed::read;
            each.user = &file;
        }
        return all;
    }
    Packed& weights() { return files[1]; }

    std::deque<Packed> files;
};

olv_result load(Opened& it, const std::vector<olv_file>& files, const char* path = nullptr) {
    olv_model_options options = OLV_MODEL_OPTIONS;
    options.path = path;
    options.context = 1024;
    options.files = files.data();
    options.file_count = static_cast<uint32_t>(files.size());
    return olv_model_load(it.device, &options, &it.model);
}

olv_result load(Opened& it, const std::string& path) {
    olv_model_options options = OLV_MODEL_OPTIONS;
    options.path = path.c_str();
    options.context = 1024;
    return olv_model_load(it.device, &options, &it.model);
}

struct Loading {
    olv_state state{};
    float progress = 0;
    olv_result result{};
};

Loading state_of(const Opened& it) {
    Loading now;
    now.result = olv_model_state(it.model, &now.state, &now.progress);
    return now;
}

// One slice each, until some weights are there, or all.
Loading load_until(Opened& it, float progress) {
    for (;;) {
        const Loading now = state_of(it);
        if (now.state != OLV_LOADING || now.progress > progress)
            return now;
        REQUIRE(olv_tick(it.device, 0) == OLV_OK);
        std::this_thread::sleep_for(std::chrono::microseconds(100));  // a worker needs no ticks
    }
}
Loading load_all(Opened& it) {
    return load_until(it, 1);
}

// A copy of the built-in model that may come to harm.
struct Folder {
    Folder() {
        fs::remove_all(path);
        fs::create_directory(path);
        for (const char* name : {"config.json", "model.safetensors", "tokenizer.model"})
            fs::copy_file(fs::path(OLIVINE_TEST_MODEL) / name, path / name);
    }
    ~Folder() { fs::remove_all(path); }
    const fs::path path = fs::temp_directory_path() / "olivine-embed-test-model";
};

}  // namespace

TEST_CASE("a model says the same from memory and through callbacks") {
    Opened from_disk(OLV_TICK);
    const std::string expected =
        ask(from_disk.device, from_disk.session(), "Tell me a story.").text;
    REQUIRE(!expected.empty());
    const bool in_memory = GENERATE(true, false);
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    const std::string folder = GENERATE("", "models/pebble/");
    CAPTURE(in_memory, work, folder);
    Pak pak(folder);
    Opened it(work, 0);
    REQUIRE(load(it, pak.given(in_memory), folder.empty() ? nullptr : "models/pebble") == OLV_OK);
    CHECK(ask(it.device, it.session(), "Tell me a story.").text == expected);
    CHECK((pak.weights().reads > 0) != in_memory);
    CHECK(!pak.weights().overlapped);
}

TEST_CASE("files that a program gives are refused by name") {
    Opened it(OLV_TICK, 0);
    Pak pak;
    const auto sentence = [] { return std::string(olv_last_error()); };
    std::vector<olv_file> files = pak.given(false);
    SECTION("both") {
        files[1].data = pak.weights().bytes.data();
        CHECK(load(it, files) == OLV_BAD_INPUT);
        CHECK(sentence() == "model.safetensors: the file has both data and a read callback.");
    }
    SECTION("neither") {
        files[1].read = nullptr;
        CHECK(load(it, files) == OLV_BAD_INPUT);
        CHECK(sentence() == "model.safetensors: the file has neither data nor a read callback.");
    }
    SECTION("without a name") {
        files[1].name = nullptr;
        CHECK(load(it, files) == OLV_BAD_INPUT);
        CHECK(sentence() == "File 1 of 3 has no name.");
    }
    SECTION("twice") {
        files[1].name = "./config.json";
        CHECK(load(it, files) == OLV_BAD_INPUT);
        CHECK(sentence() == "./config.json: there are two files of this name.");
    }
    SECTION("none of the path") {
        CHECK(load(it, files, "model.gguf") == OLV_BAD_FILE);
        CHECK(sentence() == "model.gguf: there is no such file or folder.");
    }
    SECTION("none on disk instead") {
        CHECK(load(it, files, OLIVINE_TEST_MODEL) == OLV_BAD_FILE);
    }
    SECTION("one missing") {
        files.erase(files.begin());
        CHECK(load(it, files) == OLV_BAD_FILE);
        CHECK(sentence().find("config.json: there is no file of this name") != std::string::npos);
    }
    SECTION("the only one is the model") {
        files = {files[0]};
        CHECK(load(it, files) == OLV_BAD_FILE);
        CHECK(sentence().find("does not start with GGUF") != std::string::npos);
    }
    SECTION("not initialised") {
        files[1].size = 0;
        CHECK(load(it, files) == OLV_BAD_INPUT);
    }
    SECTION("of no array") {
        olv_model_options options = OLV_MODEL_OPTIONS;
        options.file_count = 3;
        CHECK(olv_model_load(it.device, &options, &it.model) == OLV_BAD_INPUT);
        CHECK(sentence() == "olv_model_options.files is null, and file_count is 3.");
    }
    CHECK(!it.model);
}

TEST_CASE("an array's structs may be longer than the library knows") {
    struct Newer {
        olv_file file = OLV_FILE;
        uint64_t more = 77;
    };
    Pak pak;
    std::vector<Newer> newer;
    for (const olv_file& file : pak.given(true)) {
        newer.push_back({file});
        newer.back().file.size = sizeof(Newer);
    }
    Opened it(OLV_TICK, 0);
    olv_model_options options = OLV_MODEL_OPTIONS;
    options.files = &newer[0].file;
    options.file_count = 3;
    CHECK(olv_model_load(it.device, &options, &it.model) == OLV_OK);
}

TEST_CASE("models are listed") {
    const std::string folder = fs::path(OLIVINE_TEST_MODEL).parent_path().string();
    uint32_t count = 0;
    REQUIRE(olv_model_list(folder.c_str(), nullptr, &count) == OLV_OK);
    REQUIRE(count == 1);
    struct Newer {
        olv_model_info info{};
        uint64_t more = 77;
    };
    std::vector<Newer> infos(3);
    for (Newer& each : infos)
        each.info.size = sizeof each;
    count = 3;
    REQUIRE(olv_model_list(folder.c_str(), &infos[0].info, &count) == OLV_OK);
    CHECK(count == 1);
    const olv_model_info& info = infos[0].info;
    CHECK(info.usable == 1);
    CHECK(std::string(info.why_unusable).empty());
    CHECK(std::string(info.name) == "pebble");
    CHECK(std::string(info.path) == folder + "/pebble");
    CHECK(info.context == 1024);
    CHECK(info.takes_pictures == 1);
    CHECK(info.weight_bytes > 1'000'000);
    CHECK(info.device_bytes > info.weight_bytes);
    CHECK((infos[0].more == 77 && infos[1].info.usable == 0));
    Opened it(OLV_TICK, 0);
    CHECK(load(it, info.path) == OLV_OK);

    Folder harmed;
    fs::create_directory(harmed.path / "other");
    std::ofstream(harmed.path / "other" / "config.json") << "{}";
    count = 1;
    REQUIRE(olv_model_list(harmed.path.c_str(), &infos[0].info, &count) == OLV_OK);
    CHECK(count == 1);
    CHECK(info.usable == 0);
    CHECK(std::string(info.why_unusable).find("model_type") != std::string::npos);
    CHECK(info.weight_bytes == 0);
    CHECK(olv_model_list("/nonexistent", nullptr, &count) == OLV_BAD_FILE);
    CHECK(olv_model_list(nullptr, nullptr, &count) == OLV_BAD_INPUT);
    CHECK(olv_model_list(folder.c_str(), nullptr, nullptr) == OLV_BAD_INPUT);
}

TEST_CASE("a read that fails ends the loading, not the program") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    uint32_t to_open = 0;  // that many reads
    {
        Opened it(OLV_TICK, 0);
        Pak pak;
        REQUIRE(load(it, pak.given(false)) == OLV_OK);
        to_open = pak.weights().reads;
    }
    Opened it(work, 0);
    Pak pak;
    pak.weights().fails_at = to_open + 20;
    REQUIRE(load(it, pak.given(false)) == OLV_OK);
    olv_session* session = it.session();
    CHECK(ask(it.device, session, "Hello?").last.result == OLV_BAD_FILE);
    const Loading ended = state_of(it);
    CHECK(ended.state == OLV_FAILED);
    CHECK(ended.result == OLV_BAD_FILE);
    CHECK(std::string(olv_last_error()).find("model.safetensors: ") == 0);
    CHECK(ended.progress < 1);
    // At once, too.
    pak.weights().fails_at = 0;
    CHECK(load(it, pak.given(false)) == OLV_BAD_FILE);
}

TEST_CASE("a slow read makes slow slices, and stops with them") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    Opened it(work, 0);
    Pak pak;
    pak.weights().takes = std::chrono::milliseconds(20);
    REQUIRE(load(it, pak.given(false)) == OLV_OK);
    REQUIRE(load_until(it, 0).state == OLV_LOADING);
    SECTION("cancelled") {
        CHECK(olv_model_cancel(it.model) == OLV_OK);
    }
    SECTION("destroyed") {
        olv_model_destroy(it.model);
    }
    const uint32_t reads = pak.weights().reads;
    for (int i = 0; i < 10; ++i)
        CHECK(olv_tick(it.device, 1000) == OLV_OK);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(pak.weights().reads == reads);
    CHECK(olv_busy(it.device) == 0);
}

TEST_CASE("a model's file that vanishes while it is read") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    const bool begun = GENERATE(false, true);
    const bool deleted = GENERATE(false, true);
    CAPTURE(work, begun, deleted);
    Folder folder;
    Opened it(work, 0);
    REQUIRE(load(it, folder.path.string()) == OLV_OK);
    if (begun)
        load_until(it, 0);
    const bool loading = state_of(it).state == OLV_LOADING;  // a worker may be done
    if (deleted)
        fs::remove_all(folder.path);
    else
        fs::resize_file(folder.path / "model.safetensors", 100'000);
    const Loading ended = load_all(it);
    if (deleted) {
        CHECK(ended.state == OLV_READY);
    } else if (work == OLV_TICK) {
        CHECK(loading);
        CHECK(ended.state == OLV_FAILED);
        CHECK(ended.result == OLV_BAD_FILE);
        CHECK(std::string(olv_last_error()).find("model.safetensors: the file now ends ") !=
              std::string::npos);
    }
}

TEST_CASE("loading is cancelled") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    CAPTURE(work);
    Opened it(work, 0);
    Pak pak;
    pak.weights().takes = std::chrono::milliseconds(5);  // else a worker is done before
    REQUIRE(load(it, pak.given(false)) == OLV_OK);
    olv_session* session = it.session();
    REQUIRE(olv_ask(session, "Hello?") == OLV_OK);
    const bool begun = GENERATE(false, true);
    if (begun)
        CHECK(load_until(it, 0).state == OLV_LOADING);
    CHECK(olv_model_cancel(it.model) == OLV_OK);
    for (int i = 0; i < 2; ++i) {
        const Loading ended = state_of(it);
        CHECK(ended.state == OLV_FAILED);
        CHECK(ended.result == OLV_CANCELLED);
        CHECK(ended.progress < 1);
        CHECK(olv_model_cancel(it.model) == OLV_OK);  // again
    }
    CHECK(wait_for(it.device, session).last.result == OLV_CANCELLED);
    olv_model_destroy(it.model);
    CHECK(olv_busy(it.device) == 0);
    pak.weights().takes = {};
    REQUIRE(load(it, pak.given(false)) == OLV_OK);
    CHECK(ask(it.device, it.session(), "Hello?").error.empty());
    CHECK(olv_model_cancel(it.model) == OLV_OK);  // too late
    CHECK(state_of(it).state == OLV_READY);
    CHECK(olv_model_cancel(nullptr) == OLV_BAD_INPUT);
}
