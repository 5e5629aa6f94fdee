#include "model/model_list.h"

#include <filesystem>
#include <utility>

#include "engine/error.h"
#include "model/checkpoint.h"
#include "model/sizes.h"

namespace olivine {
namespace {

namespace fs = std::filesystem;

// Whatever it is called.
bool is_encoder(const std::string& path, const FileSource& files) {
    try {
        const Gguf header = Gguf::parse(files.open(path));
        const std::string* const architecture = header.find_string("general.architecture");
        return architecture && *architecture == "clip";
    } catch (const Error&) {  // which the list tells
        return false;
    }
}

bool is_model(const std::string& name, const std::string& path, const FileSource& files) {
    if (name.starts_with('.'))
        return false;
    if (files.kind(path) == FileSource::Kind::folder)
        return files.has((fs::path(path) / "config.json").string());
    return named_gguf(name) && !named_mmproj(name);
}

}  // namespace

std::vector<ListedModel> list_models(const std::string& folder, const FileSource& files) {
    if (files.kind(folder) != FileSource::Kind::folder)
        fail(Fault::bad_file, "%s: there is no such folder.", printable_path(folder).c_str());
    std::vector<ListedModel> models;
    for (const std::string& name : files.list(folder)) {
        ListedModel model{.name = name, .path = (fs::path(folder) / name).string(), .unusable = {}};
        if (!is_model(name, model.path, files))
            continue;
        try {
            const auto checkpoint = Checkpoint::open(model.path, {}, files);
            model.weight_bytes = checkpoint->weight_bytes();
            model.device_bytes = model_bytes(*checkpoint, ContextOptions{}).total();
            model.max_positions = checkpoint->config().max_positions;
            model.pictures = checkpoint->has_vision();
        } catch (const Error& error) {  // the others are listed all the same
            if (is_encoder(model.path, files))
                continue;
            model.unusable = error.what();
        }
        models.push_back(std::move(model));
    }
    return models;
}

}  // namespace olivine
