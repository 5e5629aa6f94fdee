#include "model/model_list.h"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "model/checkpoint.h"
#include "model/sizes.h"
#include "tests/model/checkpoint_files.h"
#include "tests/support/gguf_writer.h"

namespace olivine {

TEST_CASE("models of a folder are listed, with why one cannot be used", "[cpu][checkpoint]") {
    namespace fs = std::filesystem;
    test::TemporaryFolder folder;
    const std::string tiny = test::golden("tiny-vision");
    test::write_file(folder.path("b.GGUF"), test::gguf_from_folder(tiny, DataType::q8_0));
    test::write_file(folder.path("b-mmproj.gguf"), test::mmproj_from_folder(tiny, DataType::f16));
    test::write_file(folder.path("pictures.gguf"), test::mmproj_from_folder(tiny, DataType::f16));
    test::write_file(folder.path("c.gguf"), "no model");
    test::write_file(folder.path(".hidden.gguf"), "no model");
    test::write_file(folder.path("notes.txt"), "no model");
    fs::create_directories(folder.path("empty"));
    fs::create_directories(folder.path("deeper/model"));
    for (const char* name : {"a-folder", "deeper/model"})
        fs::copy(test::golden("tiny-text"), folder.path(name),
                 fs::copy_options::overwrite_existing | fs::copy_options::recursive);
    fs::create_directory(folder.path("d-other"));
    test::write_file(folder.path("d-other/config.json"), "{\"model_type\":\"gpt2\"}");

    const std::vector<ListedModel> models = list_models(folder.path());
    REQUIRE(models.size() == 4);
    CHECK(models[0].name == "a-folder");
    CHECK(models[1].name == "b.GGUF");
    CHECK(models[2].name == "c.gguf");
    CHECK(models[3].name == "d-other");
    for (const size_t i : {0, 1}) {
        CAPTURE(models[i].unusable);
        CHECK(models[i].unusable.empty());
        const auto checkpoint = Checkpoint::open(models[i].path);
        CHECK(models[i].weight_bytes == checkpoint->weight_bytes());
        CHECK(models[i].device_bytes == model_bytes(*checkpoint, ContextOptions{}).total());
        CHECK(models[i].device_bytes > models[i].weight_bytes / 2);
        CHECK(models[i].max_positions == checkpoint->config().max_positions);
        CHECK(models[i].pictures == (i == 1));
    }
    CHECK(models[2].unusable.find("does not start with GGUF") != std::string::npos);
    CHECK(models[3].unusable.find("gpt2") != std::string::npos);
    CHECK(models[3].weight_bytes == 0);
    CHECK(list_models(folder.path("empty")).empty());
    CHECK(test::failure_of([&] { list_models(folder.path("nothing")); }).fault == Fault::bad_file);
    CHECK(test::failure_of([&] { list_models(folder.path("c.gguf")); }).fault == Fault::bad_file);
}

}  // namespace olivine
