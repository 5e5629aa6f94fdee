#include "app/embed/files.h"

#include <cinttypes>
#include <cstring>
#include <utility>

#include "app/embed/structs.h"
#include "engine/error.h"

namespace olivine {

FileTable given_files(const olv_file* files, uint32_t count, std::mutex& calls) {
    FileTable table;
    if (count > 0 && !files)
        fail(Fault::bad_input, "olv_model_options.files is null, and file_count is %u.", count);
    for (uint32_t i = 0; i < count; ++i) {
        const olv_file file = known(element(files, i), olv_file OLV_FILE);
        if (!file.name || !*file.name)
            fail(Fault::bad_input, "File %u of %u has no name.", i, count);
        const std::string shown = printable_path(file.name);
        if (file.data && file.read)
            fail(Fault::bad_input, "%s: the file has both data and a read callback.",
                 shown.c_str());
        if (!file.data && !file.read)
            fail(Fault::bad_input, "%s: the file has neither data nor a read callback.",
                 shown.c_str());
        const auto read = [file, &calls](uint64_t offset, std::span<std::byte> out) {
            if (file.read) {
                const std::lock_guard lock(calls);
                return file.read(file.user, offset, out.data(), out.size()) == 0;
            }
            std::memcpy(out.data(), static_cast<const std::byte*>(file.data) + offset, out.size());
            return true;
        };
        if (!table.add(File(file.name, file.bytes, read)))
            fail(Fault::bad_input, "%s: there are two files of this name.", shown.c_str());
    }
    return table;
}

}  // namespace olivine
