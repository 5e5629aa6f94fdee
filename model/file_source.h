// Where the files of a model are found by their paths: on disk, or wherever a program keeps them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/file.h"

namespace olivine {

class FileSource {
public:
    enum class Kind { nothing, file, folder };

    virtual ~FileSource() = default;
    virtual Kind kind(const std::string& path) const = 0;
    // Fails with bad_file when there is no such file, or none that can be read.
    virtual File open(const std::string& path) const = 0;
    // Names of the files and folders in a folder, sorted; none when it is not there.
    virtual std::vector<std::string> list(const std::string& folder) const = 0;

    bool has(const std::string& path) const { return kind(path) != Kind::nothing; }
};

const FileSource& disk();

// Files under their own paths, such as "gemma/config.json"; folders are what stands before a slash.
// A path without one is in the folder ".".
class FileTable : public FileSource {
public:
    // False when there is one of this path.
    bool add(File file);

    Kind kind(const std::string& path) const override;
    File open(const std::string& path) const override;
    std::vector<std::string> list(const std::string& folder) const override;

private:
    std::map<std::string, File> files_;  // by path, without "." and doubled slashes
};

}  // namespace olivine
