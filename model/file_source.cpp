#include "model/file_source.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "engine/error.h"

namespace olivine {
namespace {

namespace fs = std::filesystem;

class Disk : public FileSource {
public:
    Kind kind(const std::string& path) const override {
        std::error_code error;
        const fs::file_status status = fs::status(path, error);
        return fs::is_directory(status)                    ? Kind::folder
               : status.type() == fs::file_type::not_found ? Kind::nothing
                                                           : Kind::file;
    }

    File open(const std::string& path) const override { return File::open(path); }

    std::vector<std::string> list(const std::string& folder) const override {
        std::vector<std::string> names;
        std::error_code error;
        for (auto it = fs::directory_iterator(folder, error);
             !error && it != fs::directory_iterator(); it.increment(error))
            names.push_back(it->path().filename().string());
        std::ranges::sort(names);
        return names;
    }
};

// "a/b" of "./a//b/", and "" of ".".
std::string plain(const std::string& path) {
    std::string text = fs::path(path).lexically_normal().generic_string();
    while (text.ends_with('/'))
        text.pop_back();
    return text == "." ? "" : text;
}

}  // namespace

const FileSource& disk() {
    static const Disk disk;
    return disk;
}

bool FileTable::add(File file) {
    std::string path = plain(file.path());
    return files_.emplace(std::move(path), std::move(file)).second;
}

FileSource::Kind FileTable::kind(const std::string& path) const {
    if (files_.contains(plain(path)))
        return Kind::file;
    return list(path).empty() ? Kind::nothing : Kind::folder;
}

File FileTable::open(const std::string& path) const {
    const auto it = files_.find(plain(path));
    if (it == files_.end())
        fail(Fault::bad_file, "%s: there is no file of this name among the %zu that are given.",
             printable_path(path).c_str(), files_.size());
    return it->second;
}

std::vector<std::string> FileTable::list(const std::string& folder) const {
    const std::string inside = plain(folder);
    const std::string prefix = inside.empty() ? "" : inside + "/";
    std::set<std::string> names;
    for (const auto& [path, file] : files_)
        if (path.starts_with(prefix))
            names.insert(path.substr(prefix.size(), path.find('/', prefix.size()) - prefix.size()));
    return {names.begin(), names.end()};
}

}  // namespace olivine
