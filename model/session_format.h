// The bytes of a saved conversation, in a file or not, as far as no model is needed to read it (model/session_file.h).
//
//   32 bytes   "OLVSESSN", version u32, CRC-32 of all that follows it u32, header bytes u64, data bytes u64
//   header     JSON; texts, which may be any bytes, have a character U+0000 to U+00FF for each byte
//   data       soft tokens of each picture, f32 [tokens][hidden]; then, layer by layer, keys and values
//
// Numbers are little-endian. Another version is refused, so is a file whose checksum is wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/file.h"

namespace olivine {

struct SessionHeader {
    struct Attached {
        std::string name;
        std::vector<int32_t> ids;
    };
    struct Turn {
        std::string user, answer;
        std::vector<int32_t> answer_ids;
        std::vector<Attached> pictures;
    };
    std::string model, fingerprint;
    std::string system;
    uint64_t seed = 0;
    std::vector<Turn> turns;
    uint32_t first_turn = 0;        // that the model still sees
    std::vector<int32_t> pictures;  // negative ids, by which the others name them; in the order of their data
    std::vector<int32_t> ids;       // of the prompt
    std::vector<int32_t> held;      // that the keys and values are of
    std::string kv;                 // their type
};

class SessionReader {
public:
    // Reads the whole file once. Throws bad_file unless it is whole and every field has its kind and range,
    // and names of pictures are those of pictures.
    explicit SessionReader(File file);

    const SessionHeader& header() const { return header_; }
    uint64_t data_bytes() const { return data_bytes_; }
    // The next of the data. Throws bad_file when the file has become shorter.
    void read(std::span<std::byte> out);
    const std::string& path() const { return file_.path(); }

private:
    File file_;
    SessionHeader header_;
    uint64_t data_bytes_ = 0;
    uint64_t at_ = 0;
};

class SessionWriter {
public:
    // Into an empty sink, which outlives this. Throws what the sink throws, as do the others.
    SessionWriter(ByteSink& to, const SessionHeader& header, uint64_t data_bytes);
    void write(std::span<const std::byte> data);
    // All data have been written.
    void finish();

private:
    ByteSink& to_;
    uint64_t header_bytes_ = 0, data_bytes_ = 0;
    uint32_t checksum_ = 0;
};

}  // namespace olivine
