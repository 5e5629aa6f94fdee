#include "model/tokenizer.h"

#include <sentencepiece_processor.h>

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "engine/error.h"
#include "made_up_vocabulary.h"
#include "model/file.h"
#include "model/gguf.h"
#include "model/sentencepiece_model.h"
#include "tests/support/gguf_writer.h"

using namespace olivine;
using nlohmann::json;
using test::error_of;
using test::made_up_vocabulary;
using Ids = std::vector<int32_t>;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

std::string decode(const Tokenizer& tokenizer, const Ids& ids) {
    std::string text;
    for (const int32_t id : ids)
        text += tokenizer.bytes(id);
    return text;
}

std::string as_typed(std::string_view piece) {
    std::string text(piece);
    for (size_t at; (at = text.find("\u2581")) != text.npos;)
        text.replace(at, 3, 1, ' ');
    return text;
}

bool has_control(const Tokenizer& tokenizer, const Ids& ids) {
    for (const int32_t id : ids)
        if (tokenizer.is_control(id))
            return true;
    return false;
}

// The ids that sentencepiece gives to the whole text at once.
Ids encode_at_once(TokenizerVocabulary vocabulary, const std::string& text) {
    restrict_to_text(vocabulary);
    sentencepiece::SentencePieceProcessor processor;
    REQUIRE(processor.LoadFromSerializedProto(write_sentencepiece_model(vocabulary, true)).ok());
    Ids ids;
    REQUIRE(processor.Encode(text, &ids).ok());
    return ids;
}

// The vocabulary as the tokenizer arrays of a GGUF file.
Gguf as_gguf(const TokenizerVocabulary& vocabulary,
             const std::function<void(test::GgufWriter&)>& more = {}) {
    std::vector<std::string> tokens;
    std::vector<float> scores;
    std::vector<int32_t> types;
    for (const Piece& piece : vocabulary.pieces) {
        // Converters write spaces into user-defined pieces.
        tokens.push_back(piece.type == PieceType::user_defined ? as_typed(piece.text) : piece.text);
        scores.push_back(piece.score);
        types.push_back(static_cast<int32_t>(piece.type));
    }
    test::GgufWriter writer;
    writer.add_string("tokenizer.ggml.model", "llama");
    writer.add_strings("tokenizer.ggml.tokens", tokens);
    writer.add_floats("tokenizer.ggml.scores", scores);
    writer.add_ints("tokenizer.ggml.token_type", types);
    if (vocabulary.bos >= 0)
        writer.add_u32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(vocabulary.bos));
    if (vocabulary.eos >= 0)
        writer.add_u32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(vocabulary.eos));
    if (more)
        more(writer);
    return Gguf::parse(File::from_bytes(writer.bytes(), "made-up.gguf"));
}

// The vocabulary as a tokenizer.json with every merge that its pieces allow, best first.
json as_json(const TokenizerVocabulary& vocabulary) {
    json vocab = json::object(), added = json::array();
    std::vector<const Piece*> by_score;
    for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
        const Piece& piece = vocabulary.pieces[id];
        vocab[piece.text] = id;
        if (piece.type == PieceType::normal)
            by_score.push_back(&piece);
        else if (piece.type != PieceType::byte)
            added.push_back({{"id", id},
                             {"content", piece.text},
                             {"special", piece.type != PieceType::user_defined}});
    }
    std::sort(by_score.begin(), by_score.end(),
              [](const Piece* a, const Piece* b) { return a->score > b->score; });
    json merges = json::array();
    for (const Piece* piece : by_score)
        for (size_t cut = 1; cut < piece->text.size(); ++cut) {
            const std::string left = piece->text.substr(0, cut), right = piece->text.substr(cut);
            if (!vocab.contains(left) || !vocab.contains(right))
                continue;
            if (merges.size() % 2)  // both forms are in use
                merges.push_back(left + " " + right);
            else
                merges.push_back({left, right});
        }
    return {{"version", "1.0"},
            {"added_tokens", added},
            {"normalizer",
             {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}},
            {"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", " "}}}}},
            {"model",
             {{"type", "BPE"},
              {"unk_token", "<unk>"},
              {"byte_fallback", true},
              {"vocab", vocab},
              {"merges", merges}}}};
}

const std::vector<std::string> kTexts = {"",
                                         "a",
                                         " ",
                                         "the model of the user",
                                         "  two   spaces\n\n\nlines\n",
                                         "<b>x</b><table><i>",
                                         "<start_of_turn>user\nhi<end_of_turn>",
                                         "<unused12><unused1><mask>[multimodal]<unk><0x41>",
                                         "\u00E9\u00E9\u00E9 \u4E2D\u65E5 \u0436 \U0001F642",
                                         "\u2581 literal \u2581\u2581x",
                                         "\r\n\t\t",
                                         std::string("nul\0nul", 7),
                                         "xxxxxxxxxxxxxxxxxxx",
                                         "Hello, world",
                                         "\uFFFD"};

}  // namespace

TEST_CASE("text becomes the pieces that merging gives", "[cpu][tokenizer]") {
    const Tokenizer tokenizer = Tokenizer::from_vocabulary(made_up_vocabulary());
    const auto names = [&](std::string_view text, bool parse_special = false) {
        std::vector<std::string> pieces;
        for (const int32_t id : tokenizer.encode(text, parse_special))
            pieces.emplace_back(tokenizer.piece(id));
        return pieces;
    };
    using Names = std::vector<std::string>;
    CHECK(names("user model") == Names{"user", "\u2581", "model"});
    CHECK(names("the the  the") == Names{"the", "\u2581the", "\u2581\u2581", "the"});
    CHECK(names("\n\n\n\t<b>a</b>") == Names{"\n\n\n", "\t", "<b>", "a", "</b>"});
    CHECK(names("<bos>") == Names{"<", "bos", ">"});
    CHECK(names("<bos>", true) == Names{"<bos>"});
    CHECK(names("<unused12>a<unused1<unused1>", true) ==
          Names{"<unused12>", "a", "<", "u", "n", "u", "se", "d", "1", "<unused1>"});
    CHECK(names("\U0001F642\r") == Names{"<0xF0>", "<0x9F>", "<0x99>", "<0x82>", "<0x0D>"});
    CHECK(names("a\xE4\xB8") == Names{"a", "<0xE4>", "<0xB8>"});
    CHECK(names("\xED\xA0\x80") == Names{"<0xED>", "<0xA0>", "<0x80>"});  // a lone surrogate
    CHECK(names(std::string_view("\0", 1)) == Names{"<0x00>"});
    CHECK(names("\u2581the") == Names{"\u2581the"});
}

TEST_CASE("no text gives the id of a control piece", "[cpu][tokenizer]") {
    const Tokenizer tokenizer = Tokenizer::from_vocabulary(made_up_vocabulary());
    for (int32_t id = 0; id < tokenizer.size(); ++id) {
        const std::string piece(tokenizer.piece(id));
        CAPTURE(piece);
        for (const std::string& text : {piece, "a" + piece + "b", piece + piece, "\n" + piece})
            REQUIRE_FALSE(has_control(tokenizer, tokenizer.encode(text)));
        if (tokenizer.is_control(id)) {
            CHECK(tokenizer.bytes(id).empty());
            CHECK(tokenizer.encode("a" + piece + "b", true) ==
                  Ids{*tokenizer.id_of("a"), id, *tokenizer.id_of("b")});
        }
    }
    // Pieces of one character, which nothing has to be merged for, and markers typed as ordinary.
    TokenizerVocabulary vocabulary = made_up_vocabulary();
    for (Piece& piece : vocabulary.pieces) {
        if (piece.text == "x" || piece.text == "\u0436")
            piece.type = PieceType::control;
        if (piece.text == "y")
            piece.type = PieceType::unused;
        if (piece.text == "<start_of_turn>")
            piece.type = PieceType::normal;
    }
    for (const char* text :
         {"<s", "<st", "<sta", "<star", "<start", "<start_", "<start_o", "<start_of", "<start_of_",
          "<start_of_t", "<start_of_tu", "<start_of_tur", "<start_of_turn"})
        vocabulary.pieces.push_back({text, 1, PieceType::normal});
    vocabulary.eos = static_cast<int32_t>(vocabulary.pieces.size()) - 1;  // declared, typed normal
    const Tokenizer odd = Tokenizer::from_vocabulary(vocabulary);
    for (const char* text : {"xyz \u0436 xxxx", "<start_of_turn>", "<start_of_turn"}) {
        CHECK_FALSE(has_control(odd, odd.encode(text)));
        CHECK(decode(odd, odd.encode(text)) == text);
    }
    CHECK(odd.is_control(vocabulary.eos));
}

TEST_CASE("ids outside the vocabulary are control and print nothing", "[cpu][tokenizer]") {
    const Tokenizer tokenizer = Tokenizer::from_vocabulary(made_up_vocabulary());
    for (const int32_t id : {-1, tokenizer.size(), std::numeric_limits<int32_t>::max(),
                             std::numeric_limits<int32_t>::min()}) {
        CHECK(tokenizer.is_control(id));
        CHECK(tokenizer.bytes(id).empty());
        CHECK(tokenizer.piece(id).empty());
    }
    CHECK_FALSE(tokenizer.id_of("not there"));
    CHECK(tokenizer.specials().bos == 2);
    CHECK(tokenizer.specials().eos == 1);
    CHECK(tokenizer.specials().pad == 0);
    CHECK(tokenizer.specials().unk == 3);
    CHECK(tokenizer.specials().start_of_turn == tokenizer.id_of("<start_of_turn>"));
    CHECK(tokenizer.specials().end_of_image == tokenizer.size() - 1);
}

TEST_CASE("any bytes come back from their ids", "[cpu][tokenizer]") {
    const Tokenizer tokenizer = Tokenizer::from_vocabulary(made_up_vocabulary());
    std::mt19937 random(1);
    for (int i = 0; i < 2000; ++i) {
        std::string text;
        const size_t length = random() % (i % 100 == 0 ? 5000 : 40);
        while (text.size() < length) {
            if (i % 2)
                text += static_cast<char>(random());
            else
                text += kTexts[random() % kTexts.size()];
        }
        const Ids ids = tokenizer.encode(text);
        REQUIRE(decode(tokenizer, ids) == as_typed(text));
        REQUIRE_FALSE(has_control(tokenizer, ids));
    }
}

TEST_CASE("a vocabulary without byte pieces writes what it cannot as unk", "[cpu][tokenizer]") {
    TokenizerVocabulary vocabulary = made_up_vocabulary();
    std::erase_if(vocabulary.pieces, [](const Piece& p) { return p.type == PieceType::byte; });
    const Tokenizer tokenizer = Tokenizer::from_vocabulary(vocabulary);
    CHECK(tokenizer.encode("\U0001F642") == Ids{3});
    CHECK(tokenizer.encode("\xFF") == Ids{3});
    std::string text;
    for (int i = 0; i < 40000; ++i)
        text += "\U0001F642";
    CHECK_FALSE(tokenizer.encode(text).empty());
}

TEST_CASE("cutting a long text leaves its tokens alone", "[cpu][tokenizer]") {
    const TokenizerVocabulary vocabulary = made_up_vocabulary();
    const Tokenizer tokenizer = Tokenizer::from_vocabulary(vocabulary);
    std::mt19937 random(2);
    const auto repeated = [](const std::string& text, size_t bytes) {
        std::string all;
        while (all.size() < bytes)
            all += text;
        return all;
    };
    std::string mixed, letters;
    while (mixed.size() < 200000) {
        const std::string& text = kTexts[random() % kTexts.size()];
        mixed += text + (random() % 3 ? " " : "");
    }
    while (letters.size() < 150000)
        letters += "xab"[random() % 3];
    for (const std::string& text :
         {mixed, letters, repeated("x", 100001), repeated(" ", 100001), repeated("\n", 70001),
          repeated("ab", 100000), repeated("\U0001F642", 100000), repeated("\u00E9", 99998),
          repeated("the user of ", 100000), repeated("   \n", 70000)}) {
        CAPTURE(text.substr(0, 60), text.size());
        const bool same = tokenizer.encode(text) == encode_at_once(vocabulary, text);
        CHECK(same);
    }
}

TEST_CASE("encoding takes linear time", "[cpu][tokenizer]") {
    const Tokenizer tokenizer = Tokenizer::from_vocabulary(made_up_vocabulary());
    for (const std::string unit :
         {"x", " ", "the model of a user. ", "\U0001F642", "\xFF", "<", "<unused1", "ab"}) {
        std::string text;
        while (text.size() < (kSanitized ? size_t{1} << 16 : size_t{1} << 20))
            text += unit;
        CAPTURE(unit);
        const std::clock_t start = std::clock();  // this process's own time
        const Ids ids = tokenizer.encode(text, unit[0] == '<');
        const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        const bool same = decode(tokenizer, ids) == text;  // too long to print
        CHECK(same);
        if (!kSanitized)
            CHECK(seconds < 1.0);
    }
}

TEST_CASE("every source of a vocabulary gives the same ids", "[cpu][tokenizer]") {
    const TokenizerVocabulary vocabulary = made_up_vocabulary();
    const Tokenizer direct = Tokenizer::from_vocabulary(vocabulary);
    const std::string model = write_sentencepiece_model(vocabulary, false);
    const std::string json_text = as_json(vocabulary).dump();

    const test::TemporaryFolder folder;
    test::write_file(folder.path("tokenizer.json"), json_text);
    const Tokenizer from_json = Tokenizer::open(folder.path());
    test::write_file(folder.path("tokenizer.model"), model);
    const Tokenizer from_model = Tokenizer::open(folder.path());
    const Tokenizer from_gguf = Tokenizer::from_gguf(as_gguf(vocabulary));

    for (const Tokenizer* other : {&from_json, &from_model, &from_gguf}) {
        REQUIRE(other->size() == direct.size());
        for (const std::string& text : kTexts) {
            CAPTURE(text);
            CHECK(other->encode(text) == direct.encode(text));
            CHECK(other->encode(text, true) == direct.encode(text, true));
        }
        for (int32_t id = 0; id < direct.size(); ++id) {
            REQUIRE(other->is_control(id) == direct.is_control(id));
            REQUIRE(other->bytes(id) == direct.bytes(id));
        }
        CHECK(other->specials().bos == 2);
        CHECK(other->specials().end_of_turn == direct.specials().end_of_turn);
    }
    CHECK(write_sentencepiece_model(read_sentencepiece_model(model, "m"), false) == model);
}

TEST_CASE("a damaged vocabulary is refused", "[cpu][tokenizer]") {
    const auto fault_after = [](const std::function<void(TokenizerVocabulary&)>& damage) {
        TokenizerVocabulary vocabulary = made_up_vocabulary();
        damage(vocabulary);
        const Error error = error_of([&] { Tokenizer::from_vocabulary(std::move(vocabulary)); });
        CHECK(std::string(error.what()).starts_with("made-up: "));
        return error.fault();
    };
    using V = TokenizerVocabulary;
    CHECK(fault_after([](V& v) { v.pieces.clear(); }) == Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces.resize(kMaxPieces + 1); }) == Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces[40].text.clear(); }) == Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces.push_back(v.pieces.back()); }) == Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces.back().text = std::string(5000, 'y'); }) ==
          Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces.back().text = std::string("a\0b", 3); }) ==
          Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces.back().score = NAN; }) == Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces.back().score = INFINITY; }) == Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces[3].type = PieceType::control; }) == Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces[0].type = PieceType::unknown; }) == Fault::bad_file);
    CHECK(fault_after([](V& v) { v.pieces[5].type = PieceType::byte; }) == Fault::bad_file);
    CHECK(fault_after([](V& v) {
              std::erase_if(v.pieces, [](const Piece& p) { return p.text == "<0x41>"; });
          }) == Fault::bad_file);
    CHECK(fault_after([](V& v) { v.bos = static_cast<int32_t>(v.pieces.size()); }) ==
          Fault::bad_file);
    CHECK(fault_after([](V& v) { v.eos = -2; }) == Fault::bad_file);
    // More runs of blanks than sentencepiece looks at in one place.
    CHECK(fault_after([](V& v) {
              for (size_t n = 7; n < 100; ++n)
                  v.pieces.push_back({std::string(n, '\n'), 0, PieceType::user_defined});
          }) == Fault::bad_file);
}

TEST_CASE("a damaged tokenizer.model is refused", "[cpu][tokenizer]") {
    TokenizerVocabulary vocabulary = made_up_vocabulary();
    const std::string model = write_sentencepiece_model(vocabulary, false);
    const auto load = [](const std::string& bytes) {
        return error_of([&] {
            const Tokenizer tokenizer =
                Tokenizer::from_vocabulary(read_sentencepiece_model(bytes, "t.model"));
            for (const std::string& text : kTexts)
                (void)tokenizer.encode(text);
        });
    };
    CHECK(std::string(load(model).what()) == "none");
    for (size_t length = 0; length < model.size(); ++length)
        if (load(model.substr(0, length)).fault() != Fault::bad_file)
            FAIL("cut at " << length << ": " << load(model.substr(0, length)).what());
    std::mt19937 random(3);
    for (int i = 0; i < 1500; ++i) {  // whatever comes, it is a tokenizer or an Error
        std::string bytes = model;
        for (int n = 0; n < 1 + i % 3; ++n)
            bytes[random() % bytes.size()] = static_cast<char>(random());
        (void)load(bytes);
    }
    // A field of 2^63 bytes, a number that never ends, a group, field 0, a type of 7.
    for (const std::string& bytes :
         {std::string("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"), std::string(20, '\xFF'),
          std::string("\x0B\x0C"), std::string("\x02\x00", 2), std::string("\x0A\x02\x18\x07")}) {
        const Error error = load(bytes);
        CHECK(error.fault() == Fault::bad_file);
        CHECK(std::string(error.what()).starts_with("t.model: "));
    }
    // The last fields are the normalizer's: added prefix, removed blanks, escaped blanks.
    for (const auto& [place, value] : {std::pair{5, 1}, {3, 1}, {1, 0}}) {
        std::string bytes = model;
        bytes[bytes.size() - static_cast<size_t>(place)] = static_cast<char>(value);
        CHECK(load(bytes).fault() == Fault::unsupported);
    }
}

TEST_CASE("a damaged tokenizer.json is refused", "[cpu][tokenizer]") {
    const json good = as_json(made_up_vocabulary());
    const auto load = [](const std::string& text) {
        return error_of([&] {
            const Tokenizer tokenizer =
                Tokenizer::from_vocabulary(read_tokenizer_json(text, "t.json"));
            for (const std::string& typed : kTexts)
                (void)tokenizer.encode(typed);
        });
    };
    const auto fault_after = [&](const std::function<void(json&)>& damage) {
        json damaged = good;
        damage(damaged);
        const Error error = load(damaged.dump());
        CHECK(std::string(error.what()).starts_with("t.json: "));
        return error.fault();
    };
    const std::string text = good.dump();
    CHECK(std::string(load(text).what()) == "none");
    for (size_t length = 0; length < text.size(); length += kSanitized ? 37 : 7)
        if (load(text.substr(0, length)).fault() != Fault::bad_file)
            FAIL("cut at " << length);
    std::mt19937 random(4);
    for (int i = 0; i < 1500; ++i) {
        std::string bytes = text;
        for (int n = 0; n < 1 + i % 3; ++n)
            bytes[random() % bytes.size()] = "\"[]{},:0179-entf\\u\xFF "[random() % 20];
        (void)load(bytes);
    }
    for (const std::string& other : {std::string("[]"), std::string("7"), std::string("null"),
                                     std::string("\"\xFF\""), "{\"a\":" + std::string(100000, '[')})
        CHECK(load(other).fault() == Fault::bad_file);

    for (const json& wrong : {json(-1), json(1.5), json("7"), json(nullptr), json::array(),
                              json::object(), json(true), json(999999999), json(2)})
        CHECK(fault_after([&](json& j) { j["model"]["vocab"]["a"] = wrong; }) == Fault::bad_file);
    for (const json& wrong : {json(1), json("ab"), json("a b c"), json::array({"a"}),
                              json::array({"a", "b", "c"}), json::array({"a", 1}), json::object(),
                              json::array({"a", json::array()}), json("q q"), json(nullptr)})
        CHECK(fault_after([&](json& j) { j["model"]["merges"].push_back(wrong); }) ==
              Fault::bad_file);
    for (const json& wrong :
         {json(1), json::array(), json{{"id", 1}}, json{{"content", "x"}},
          json{{"id", "1"}, {"content", "x"}}, json{{"id", 1}, {"content", 5}},
          json{{"id", 1}, {"content", "other"}}, json{{"id", 99999}, {"content", "x"}}})
        CHECK(fault_after([&](json& j) { j["added_tokens"].push_back(wrong); }) == Fault::bad_file);
    for (const char* key : {"vocab", "merges"})
        for (const json& wrong : {json(1), json("x"), json(true)})
            CHECK(fault_after([&](json& j) { j["model"][key] = wrong; }) == Fault::bad_file);
    CHECK(fault_after([](json& j) { j["model"]["unk_token"] = nullptr; }) == Fault::bad_file);
    CHECK(fault_after([](json& j) { j["model"]["type"] = "Unigram"; }) == Fault::unsupported);
    CHECK(fault_after([](json& j) { j["model"] = 1; }) == Fault::bad_file);
    CHECK(fault_after([](json& j) { j["added_tokens"] = "x"; }) == Fault::bad_file);
    CHECK(fault_after([](json& j) { j.erase("model"); }) == Fault::unsupported);
    CHECK(fault_after([](json& j) { j["normalizer"] = {{"type", "NFC"}}; }) == Fault::unsupported);
    CHECK(fault_after([](json& j) {
              j["pre_tokenizer"] = {{"type", "ByteLevel"}};
          }) == Fault::unsupported);
    CHECK(fault_after([](json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }) ==
          Fault::unsupported);
}

TEST_CASE("damaged tokenizer arrays of a GGUF file are refused", "[cpu][tokenizer]") {
    const TokenizerVocabulary vocabulary = made_up_vocabulary();
    const auto fault_with = [&](const std::function<void(test::GgufWriter&)>& keys) {
        test::GgufWriter writer;
        keys(writer);
        const Gguf file = Gguf::parse(File::from_bytes(writer.bytes(), "t.gguf"));
        const Error error = error_of([&] { Tokenizer::from_gguf(file); });
        CHECK(std::string(error.what()).find("t.gguf") != std::string::npos);
        return error.fault();
    };
    using W = test::GgufWriter;
    const std::vector<std::string> two = {"<unk>", "a"};
    const std::vector<float> scores = {0, 0};
    const std::vector<int32_t> types = {2, 1};
    CHECK(fault_with([](W&) {}) == Fault::unsupported);
    CHECK(fault_with([](W& w) { w.add_string("tokenizer.ggml.model", "gpt2"); }) ==
          Fault::unsupported);
    const auto with = [&](const auto& tokens, const auto& points, const auto& kinds, auto more) {
        return fault_with([&](W& w) {
            w.add_string("tokenizer.ggml.model", "llama");
            w.add_strings("tokenizer.ggml.tokens", tokens);
            w.add_floats("tokenizer.ggml.scores", points);
            w.add_ints("tokenizer.ggml.token_type", kinds);
            more(w);
        });
    };
    const auto nothing = [](W&) {};
    CHECK(with(two, std::vector<float>{0}, types, nothing) == Fault::bad_file);
    CHECK(with(two, scores, std::vector<int32_t>{2, 7}, nothing) == Fault::bad_file);
    CHECK(with(two, scores, std::vector<int32_t>{2, -1}, nothing) == Fault::bad_file);
    CHECK(with(two, std::vector<float>{0, NAN}, types, nothing) == Fault::bad_file);
    CHECK(with(std::vector<std::string>{"a", "a"}, scores, types, nothing) == Fault::bad_file);
    CHECK(with(two, scores, types, [](W& w) { w.add_u32("tokenizer.ggml.bos_token_id", 2); }) ==
          Fault::bad_file);
    CHECK(with(two, scores, types,
               [](W& w) { w.add_string("tokenizer.ggml.eos_token_id", "2"); }) == Fault::bad_file);
    CHECK(with(two, scores, types, [](W& w) {
              w.add_bool("tokenizer.ggml.add_space_prefix", true);
          }) == Fault::unsupported);
    CHECK(fault_with([&](W& w) {
              w.add_string("tokenizer.ggml.model", "llama");
              w.add_floats("tokenizer.ggml.tokens", scores);
          }) == Fault::bad_file);
}

TEST_CASE("a missing tokenizer is named", "[cpu][tokenizer]") {
    const test::TemporaryFolder folder;
    const Error empty = error_of([&] { Tokenizer::open(folder.path()); });
    CHECK(empty.fault() == Fault::bad_file);
    CHECK(std::string(empty.what()).find("tokenizer.json") != std::string::npos);
    CHECK(error_of([&] { Tokenizer::open(folder.path("no.model")); }).fault() == Fault::bad_file);
}

TEST_CASE("the built-in model's vocabulary keeps text and markers apart", "[cpu][tokenizer]") {
    const Tokenizer tokenizer =
        Tokenizer::open(std::string(OLIVINE_TEST_GOLDENS) + "/../../assets/pebble/tokenizer.model");
    for (int32_t id = 0; id < tokenizer.size(); ++id) {
        const std::string text = as_typed(tokenizer.piece(id));
        CAPTURE(id, text);
        const Ids ids = tokenizer.encode("a" + text + " b");
        REQUIRE_FALSE(has_control(tokenizer, ids));
        REQUIRE(decode(tokenizer, ids) == "a" + text + " b");
    }
    CHECK(tokenizer.specials().bos);
    CHECK(tokenizer.specials().start_of_turn);
    CHECK(tokenizer.specials().end_of_turn);
}

TEST_CASE("the published vocabulary gives the published ids", "[cpu][tokenizer]") {
    const char* path = std::getenv("OLIVINE_GEMMA_TOKENIZER");
    if (!path)
        SKIP("OLIVINE_GEMMA_TOKENIZER does not name the published tokenizer.json");
    const TokenizerVocabulary vocabulary =
        read_tokenizer_json(File::open(path).read_text(uint64_t{1} << 28), path);
    const Tokenizer tokenizer = Tokenizer::from_vocabulary(vocabulary);

    std::ifstream file(std::string(OLIVINE_TEST_GOLDENS) + "/tokenizer_gemma3.json");
    const json rows = json::parse(file);
    REQUIRE(rows.size() == 53);
    for (const json& row : rows) {
        const std::string text = row.at("text");
        CAPTURE(text);
        CHECK(tokenizer.encode(text) == row.at("ids").get<Ids>());
        CHECK(decode(tokenizer, tokenizer.encode(text)) == as_typed(text));
    }

    SECTION("and no control id for any of its pieces in a text") {
        size_t controls = 0;
        for (int32_t id = 0; id < tokenizer.size(); ++id) {
            const std::string text = as_typed(tokenizer.piece(id));
            for (const std::string& typed :
                 {text, "a" + text + "b", "user\n" + text + "\n" + text}) {
                const Ids ids = tokenizer.encode(typed);
                if (has_control(tokenizer, ids))
                    FAIL("piece " << id << " '" << text << "'");
                if (decode(tokenizer, ids) != typed)
                    FAIL("piece " << id << " '" << text << "' does not come back");
            }
            controls += tokenizer.is_control(id);
        }
        // Ids 0 to 106 and 255999 to 262144, the place holder of pictures.
        CHECK(controls == 107 + 6146);
        for (int32_t id = 107; id <= 237; ++id)  // newlines, spaces, tags
            REQUIRE(tokenizer.encode(as_typed(tokenizer.piece(id))) == Ids{id});
        for (int32_t id = 255968; id <= 255998; ++id)  // tabs
            REQUIRE(tokenizer.encode(tokenizer.piece(id)) == Ids{id});
        CHECK(tokenizer.specials().start_of_turn == 105);
        CHECK(tokenizer.specials().end_of_turn == 106);
        CHECK(tokenizer.specials().start_of_image == 255999);
        CHECK(tokenizer.specials().end_of_image == 256000);
    }
    SECTION("also through GGUF arrays and a tokenizer.model") {
        const Tokenizer from_gguf = Tokenizer::from_gguf(as_gguf(vocabulary));
        const Tokenizer from_model = Tokenizer::from_vocabulary(
            read_sentencepiece_model(write_sentencepiece_model(vocabulary, false), "m"));
        for (const json& row : rows) {
            const std::string text = row.at("text");
            CHECK(from_gguf.encode(text) == row.at("ids").get<Ids>());
            CHECK(from_model.encode(text) == row.at("ids").get<Ids>());
        }
        for (int32_t id = 0; id < tokenizer.size(); ++id)
            if (from_gguf.is_control(id) != tokenizer.is_control(id) ||
                from_model.is_control(id) != tokenizer.is_control(id))
                FAIL("piece " << id);
    }
    SECTION("also for long texts, in linear time") {
        std::string text;
        for (size_t i = 0; text.size() < size_t{1} << 20; ++i)
            text += rows[i % rows.size()].at("text").get<std::string>() + (i % 3 ? " " : "\n");
        const std::clock_t start = std::clock();
        const Ids ids = tokenizer.encode(text);
        const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        if (!kSanitized)
            CHECK(seconds < 1.0);
        const bool same = ids == encode_at_once(vocabulary, text);
        CHECK(same);
    }
}
