// A conversation as bytes, to go on with in another process: what was said, its token ids, keys and
// values, and the soft tokens of its pictures. model/session_format.h says how they lie.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/turn.h"

namespace olivine {

class ByteSink;
class Context;
class File;
class Model;

struct SavedChat {
    std::string system;
    uint64_t seed = 0;         // of the next answer
    std::vector<Turn> turns;
    uint32_t first_turn = 0;   // that the model still sees
    std::vector<int32_t> ids;  // from there up to where the last answer begins
};

// Into an empty sink. Throws what the sink throws; device_lost, out_of_memory.
void save_session(ByteSink& to, const SavedChat& chat, const Model& model, const Context& context,
                  uint32_t sequence);

// Throws bad_file: damaged, of another version, or of another model, which it names; bad_input: longer than
// the context, with both lengths; out_of_memory, device_lost. Until it is known to be whole and to fit, nothing
// has changed. Keys and values of another type than the context's are left out: they run again with the next
// prompt.
SavedChat load_session(const File& from, Model& model, Context& context, uint32_t sequence);

}  // namespace olivine
