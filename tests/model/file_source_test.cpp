// Checkpoints whose files are not on disk, and files whose bytes come from somewhere.
#include "model/file_source.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>

#include "engine/error.h"
#include "model/checkpoint.h"
#include "model/tokenizer.h"
#include "tests/model/checkpoint_files.h"
#include "tests/support/gguf_writer.h"

namespace olivine {
namespace {

namespace fs = std::filesystem;
using test::failure_of;
using test::golden;
using test::Json;
using test::Table;
using test::TemporaryFolder;

// Everything in a folder, under another one's name; at the top for "".
FileTable taken(const std::string& folder, const std::string& as) {
    FileTable files;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.is_regular_file())
            CHECK(files.add(File::from_bytes(test::read_file(entry.path().string()),
                                             as + entry.path().filename().string())));
    return files;
}

void check_same(const Checkpoint& one, const Checkpoint& other) {
    CHECK(one.config() == other.config());
    CHECK(one.fingerprint() == other.fingerprint());
    CHECK(one.weight_bytes() == other.weight_bytes());
    CHECK(one.has_vision() == other.has_vision());
    for (const TensorSpec& spec : vision_tensors(one.config()))
        CHECK(test::values_of(one, spec.name) == test::values_of(other, spec.name));
}

// tiny-vision in two files and an index.
void write_shards(const TemporaryFolder& folder) {
    test::copy_model("tiny-vision", folder);
    const Table all = Table::read(folder.path("model.safetensors"));
    fs::remove(folder.path("model.safetensors"));
    const std::string names[] = {"part-1.safetensors", "part-2.safetensors"};
    Table parts[2];
    Json map = Json::object();
    size_t count = 0;
    for (const auto& [name, tensor] : all.tensors) {
        const size_t part = count++ % 2;
        parts[part].tensors[name] = tensor;
        map[name] = names[part];
    }
    for (size_t i = 0; i < 2; ++i)
        parts[i].write(folder.path(names[i]));
    test::write_file(folder.path("model.safetensors.index.json"), Json{{"weight_map", map}}.dump());
}

}  // namespace

TEST_CASE("a folder's files are found wherever they are", "[cpu][checkpoint]") {
    const bool shards = GENERATE(false, true);
    const std::string as = GENERATE("", "models/tiny/");
    CAPTURE(shards, as);
    TemporaryFolder folder;
    if (shards)
        write_shards(folder);
    else
        test::copy_model("tiny-vision", folder);
    const FileTable files = taken(folder.path(), as);
    const auto checkpoint = Checkpoint::open(as.empty() ? "." : "./models//tiny", {}, files);
    check_same(*checkpoint, *Checkpoint::open(folder.path()));
    CHECK(failure_of([&] { Checkpoint::open("models/tin", {}, files); }).fault == Fault::bad_file);
}

TEST_CASE("a GGUF's files are found wherever they are", "[cpu][checkpoint][gguf]") {
    TemporaryFolder folder;
    test::write_file(folder.path("model.gguf"),
                     test::gguf_from_folder(golden("tiny-vision"), DataType::bf16));
    test::write_file(folder.path("mmproj-f16.gguf"),
                     test::mmproj_from_folder(golden("tiny-vision"), DataType::f16));
    const std::string as = GENERATE("", "models/");
    const FileTable files = taken(folder.path(), as);
    const auto on_disk = Checkpoint::open(folder.path("model.gguf"));
    CHECK(on_disk->has_vision());
    check_same(*Checkpoint::open(as + "model.gguf", {}, files), *on_disk);
    check_same(*Checkpoint::open(as + "model.gguf", as + "mmproj-f16.gguf", files), *on_disk);
    CHECK(!Checkpoint::open(as + "model.gguf", Checkpoint::kNoMmproj, files)->has_vision());
    CHECK(failure_of([&] { Checkpoint::open(as + "model.gguf", "mmproj", files); }).text ==
          "mmproj: there is no file of this name among the 2 that are given.");
}

TEST_CASE("a vocabulary is found beside the weights", "[cpu][tokenizer]") {
    const std::string folder = std::string(OLIVINE_TEST_GOLDENS) + "/../../assets/pebble";
    const FileTable files = taken(folder, "pebble/");
    const Tokenizer tokenizer = Tokenizer::open("pebble", files);
    CHECK(tokenizer.encode("once upon a time") ==
          Tokenizer::open(folder).encode("once upon a time"));
    CHECK(failure_of([&] { Tokenizer::open(".", files); }).text ==
          ".: the folder has no tokenizer.model and no tokenizer.json.");
}

TEST_CASE("a table of files", "[cpu]") {
    FileTable files;
    for (const char* path : {"b", "a/c", "a//d", "./a/e/f"})
        CHECK(files.add(File::from_bytes({}, path)));
    CHECK(!files.add(File::from_bytes({}, "./b")));
    CHECK(!files.add(File::from_bytes({}, "a/d")));
    using Names = std::vector<std::string>;
    CHECK(files.list(".") == Names{"a", "b"});
    CHECK(files.list("a/") == Names{"c", "d", "e"});
    CHECK(files.list("b").empty());
    CHECK(files.kind("a/e") == FileSource::Kind::folder);
    CHECK(files.kind("a/e/f") == FileSource::Kind::file);
    CHECK(files.kind("a/e/") == FileSource::Kind::folder);
    CHECK(files.kind("e") == FileSource::Kind::nothing);
}

TEST_CASE("bytes come from a callback, or cannot be had", "[cpu]") {
    uint64_t asked = 0;
    const File file("pak:text", 10, [&](uint64_t offset, std::span<std::byte> out) {
        ++asked;
        std::ranges::fill(out, std::byte{'a'});
        return offset + out.size() <= 8;
    });
    const File copy = file;
    std::vector<std::byte> some(8);
    copy.read(0, some);
    CHECK(some[7] == std::byte{'a'});
    CHECK(failure_of([&] { file.read(1, some); }).text ==
          "pak:text: 8 bytes at offset 1 cannot be read.");
    CHECK(asked == 2);
    // Beyond the end nobody is asked, nor for nothing.
    const auto [fault, text] = failure_of([&] { file.read(3, some); });
    CHECK(fault == Fault::bad_file);
    CHECK(text == "pak:text: the file ends at byte 10, 8 bytes at offset 3 are expected.");
    file.read(10, {});
    CHECK(asked == 2);
}

}  // namespace olivine
