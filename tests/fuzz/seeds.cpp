// Writes the first corpus of every fuzz target: fuzz_seeds FOLDER
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/pipeline_cache_file.h"
#include "model/sentencepiece_model.h"
#include "model/session_format.h"
#include "tests/model/made_up_vocabulary.h"
#include "tests/support/gguf_writer.h"

using namespace olivine;
using namespace olivine::test;
namespace fs = std::filesystem;

namespace {

const std::string goldens = OLIVINE_TEST_GOLDENS;

// Makes the corpus of one target, and puts seeds into it.
struct Corpus {
    Corpus(const fs::path& folder, const char* target) : path(folder / target) {
        fs::create_directories(path);
    }
    void add(std::span<const std::byte> seed) { write_file(next(), seed); }
    void add(std::string_view seed) { write_file(next(), seed); }
    std::string next() { return (path / std::to_string(count++)).string(); }
    fs::path path;
    int count = 0;
};

std::string text_of(const std::string& path) {
    const std::vector<std::byte> bytes = read_file(path);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A GGUF file with everything that we read, and hardly any data.
std::vector<std::byte> gguf(bool vocabulary) {
    GgufWriter writer;
    writer.add_string("general.architecture", "gemma3");
    for (const auto& [key, value] : {std::pair{"context_length", 512u},
                                     {"embedding_length", 64u},
                                     {"feed_forward_length", 96u},
                                     {"block_count", 2u},
                                     {"attention.head_count", 4u},
                                     {"attention.head_count_kv", 2u},
                                     {"attention.key_length", 32u},
                                     {"attention.sliding_window", 16u}})
        writer.add_u32(std::string("gemma3.") + key, value);
    writer.add_f32("gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
    writer.add_f32("gemma3.rope.freq_base", 1e6f);
    writer.add_bools("gemma3.some.bools", {true, false});
    if (vocabulary) {
        std::vector<std::string> tokens;
        std::vector<float> scores;
        std::vector<int32_t> types;
        for (const Piece& piece : made_up_vocabulary().pieces) {
            tokens.push_back(piece.text);
            scores.push_back(piece.score);
            types.push_back(static_cast<int32_t>(piece.type));
        }
        writer.add_string("tokenizer.ggml.model", "llama");
        writer.add_strings("tokenizer.ggml.tokens", tokens);
        writer.add_floats("tokenizer.ggml.scores", scores);
        writer.add_ints("tokenizer.ggml.token_type", types);
        writer.add_u32("tokenizer.ggml.eos_token_id", 1);
    }
    writer.tensors.push_back({"token_embd.weight", {2, 4}, 0, std::vector<std::byte>(32), {}});
    writer.tensors.push_back({"blk.0.attn_q.weight", {2, 32}, 8, std::vector<std::byte>(68), {}});
    return writer.bytes();
}

std::string safetensors() {
    const std::string header =
        R"({"__metadata__":{"format":"pt"},)"
        R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
        R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},)"
        R"("c":{"dtype":"I64","shape":[],"data_offsets":[32,40]}})";
    const uint64_t length = header.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &length, 8);
    return file + header + std::string(40, '\0');
}

std::string tokenizer_json() {
    nlohmann::json vocab = nlohmann::json::object(), added = nlohmann::json::array();
    const TokenizerVocabulary made_up = made_up_vocabulary();
    for (size_t id = 0; id < made_up.pieces.size(); ++id) {
        const Piece& piece = made_up.pieces[id];
        vocab[piece.text] = id;
        if (piece.type != PieceType::normal && piece.type != PieceType::byte)
            added.push_back({{"id", id},
                             {"content", piece.text},
                             {"special", piece.type != PieceType::user_defined}});
    }
    const nlohmann::json file = {
        {"version", "1.0"},
        {"added_tokens", added},
        {"normalizer",
         {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}},
        {"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", " "}}}}},
        {"model",
         {{"type", "BPE"},
          {"unk_token", "<unk>"},
          {"byte_fallback", true},
          {"vocab", vocab},
          {"merges", {"t h", "th e", "x x", "xx xx", {"e", "r"}}}}}};
    return file.dump();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
        return 2;
    }
    const fs::path folder = argv[1];

    Corpus ggufs(folder, "gguf");
    ggufs.add(gguf(false));
    ggufs.add(gguf(true));

    Corpus(folder, "safetensors").add(safetensors());

    Corpus folders(folder, "folder");
    for (const char* model : {"tiny-vision", "tiny-text", "tiny-gemma2"})
        folders.add(text_of(goldens + "/" + model + "/config.json"));
    folders.add(text_of(goldens + "/tiny-vision/config.json") + '\0' +
                R"({"weight_map":{"language_model.model.norm.weight":"model.safetensors"}})" + '\0' +
                R"({"eos_token_id":[1,106],"bos_token_id":2})" + '\0' +
                R"({"image_mean":[0.5,0.5,0.5],"image_std":[0.5,0.5,0.5],"rescale_factor":0.00392,)"
                R"("do_normalize":true})");

    Corpus models(folder, "tokenizer_model");
    models.add(write_sentencepiece_model(made_up_vocabulary(), false));
    TokenizerVocabulary few = made_up_vocabulary();
    std::erase_if(few.pieces, [](const Piece& piece) { return piece.type == PieceType::byte; });
    models.add(write_sentencepiece_model(few, false));

    Corpus(folder, "tokenizer_json").add(tokenizer_json());

    Corpus texts(folder, "text");
    for (const char* text : {"the model of the user", "  two   spaces\n\n\nlines\n",
                             "<b>x</b><table><start_of_turn>user\nhi<end_of_turn><unused1>",
                             "\u00E9\u4E2D\u65E5 \U0001F642 \u2581\u2581", "\xff\xfe\xf0\x9f"})
        texts.add(text);

    Corpus schemas(folder, "json_schema");
    for (const char* schema :
         {R"({"type":"object","properties":{"mood":{"enum":["friendly","hostile"]},"line":{"type":)"
          R"("string","minLength":2,"maxLength":40}},"required":["line"],"additionalProperties":false})",
          R"({"$defs":{"a":{"type":["integer","null"],"minimum":-9}},"type":"array","items":)"
          R"({"$ref":"#/$defs/a"},"maxItems":3})",
          R"({"anyOf":[{"const":[1.5,true]},{"type":"number"},{"type":"array","items":)"
          R"({"type":"boolean"}}]})"})
        schemas.add(schema);

    Corpus pictures(folder, "picture");
    for (const auto& entry : fs::directory_iterator(goldens + "/pictures"))
        if (entry.path().extension() != ".md")
            pictures.add(read_file(entry.path().string()));

    Corpus caches(folder, "pipeline_cache");
    const std::vector<char> cache =
        pack_pipeline_cache({1, 2, 3, 4, {5, 6, 7}}, std::string_view("a pipeline"));
    caches.add(std::string_view(cache.data(), cache.size()));

    Corpus sessions(folder, "session");
    MemoryWriter memory;
    SessionWriter session(memory,
                          {.model = "a model",
                           .fingerprint = "0123",
                           .system = "Be\xff kind.",
                           .seed = 7,
                           .turns = {{"hi", "Hello.", {5, 6}, {{"a picture", {-1, -1}}}}, {"so", "", {}, {}}},
                           .first_turn = 1,
                           .pictures = {-1},
                           .ids = {2, -1, 5},
                           .held = {2, -1},
                           .kv = "f16"},
                          8);
    session.write(std::as_bytes(std::span("8 bytes.", 8)));
    session.finish();
    sessions.add(std::move(memory).take());

    Corpus(folder, "picture_tokens").add("\x02\x20\xf0\xf9\x30\xf1\xfb");
    return 0;
}
