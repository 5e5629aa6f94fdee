// The files that a program gives by callbacks or in its memory.
#pragma once

#include <mutex>

#include "app/embed/olivine.h"
#include "model/file_source.h"

namespace olivine {

// Throws bad_input: a file without a name, with both or neither of data and read, or of a name that
// is there already. Callbacks are called with the mutex, which outlives the files.
FileTable given_files(const olv_file* files, uint32_t count, std::mutex& calls);

}  // namespace olivine
