// Conversations: in files and back, and in a context that is full.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <filesystem>
#include <fstream>

#include "engine/error.h"
#include "tests/model/checkpoint_files.h"
#include "tests/model/talk.h"

namespace olivine::test {
namespace {

std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// The failure that loading gives, which leaves the talk as it was.
std::pair<Fault, std::string> load_failure(Talk& talk, const std::string& path) {
    const size_t turns = talk.chat.turns().size();
    const uint32_t used = talk.chat.context_used();
    try {
        talk.chat.load(File::open(path));
    } catch (const Error& error) {
        CHECK(talk.chat.turns().size() == turns);
        CHECK(talk.chat.context_used() == used);
        return {error.fault(), error.what()};
    }
    FAIL("it was loaded");
    return {};
}

}  // namespace

TEST_CASE("a saved session goes on with the same words", "[model]") {
    TemporaryFolder folder;
    const std::string path = folder.path("talk");
    const KvType type = GENERATE(KvType::f32, KvType::f16, KvType::q8_0);
    CAPTURE(name(type));
    Talk first({.context = 900, .kv = type}, fifty());
    first.ask("Tell me a story about a \xff fox.");
    first.show();
    first.ask("What do you see?");
    first.chat.save(path);
    const std::vector<Turn> turns = first.chat.turns();
    const uint32_t used = first.chat.context_used();
    const std::string want = first.ask("Tell me another story.");
    REQUIRE(!want.empty());

    // In a context of another length, with other rings.
    Talk second({.context = 400, .kv = type}, fifty("Someone else."));
    second.show();
    second.ask("What is this?");  // so that the picture has another id
    second.chat.load(File::open(path));
    CHECK(second.chat.context_used() == used);
    CHECK(second.chat.options().system == "You are a kind teller.");
    REQUIRE(second.chat.turns().size() == 2);
    for (size_t i = 0; i < 2; ++i) {
        CHECK(second.chat.turns()[i].user == turns[i].user);
        CHECK(second.chat.turns()[i].answer == turns[i].answer);
        CHECK(second.chat.turns()[i].pictures.size() == turns[i].pictures.size());
    }
    CHECK(second.ask("Tell me another story.") == want);
    CHECK(second.chat.stats().cached_tokens >= used - 1);
    CHECK(second.loaded.device.validation_messages() == 0);
}

TEST_CASE("what the cache still holds of a talk before is not saved with the next", "[model]") {
    TemporaryFolder folder;
    const std::string path = folder.path("talk");
    Talk first({.context = 900}, fifty());
    first.show();
    first.ask("What do you see?");
    first.chat.clear();
    first.chat.save(path);
    CHECK(bytes_of(path).size() < 1000);
    Talk second({.context = 900}, fifty("Someone else."));
    second.chat.load(File::open(path));
    CHECK(second.chat.turns().empty());
    CHECK(second.chat.context_used() == 0);
    CHECK(second.ask("Tell me a story.") == first.ask("Tell me a story."));
}

TEST_CASE("a session of another type of cache runs its tokens again", "[model]") {
    TemporaryFolder folder;
    const std::string path = folder.path("talk");
    ChatOptions options = fifty();
    options.sampler.temperature = 0;
    Talk first({.context = 900, .kv = KvType::f32}, options),
        second({.context = 900, .kv = KvType::f16}, options);
    first.ask("Tell me a story.");
    first.chat.save(path);
    second.chat.load(File::open(path));
    CHECK(second.chat.context_used() == 0);
    CHECK(second.ask("And then?") == first.ask("And then?"));
}

TEST_CASE("a session's file is refused unless it is whole and of this model", "[model]") {
    TemporaryFolder folder;
    const std::string path = folder.path("talk"), bad = folder.path("bad");
    Talk talk({.context = 900}, fifty());
    talk.ask("Tell me a story.");
    talk.chat.save(path);
    const std::string whole = bytes_of(path);
    const auto put = [&](const std::string& bytes) { std::ofstream(bad, std::ios::binary) << bytes; };

    SECTION("damaged anywhere") {
        for (size_t at = 0; at < whole.size(); at += at < 64 ? 1 : whole.size() / 40) {
            std::string bytes = whole;
            bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
            put(bytes);
            CHECK(load_failure(talk, bad).first == Fault::bad_file);
        }
    }
    SECTION("cut anywhere, or longer") {
        for (const size_t length :
             {size_t{0}, size_t{7}, size_t{31}, size_t{32}, whole.size() / 2, whole.size() - 1}) {
            put(whole.substr(0, length));
            CHECK(load_failure(talk, bad).first == Fault::bad_file);
        }
        put(whole + "x");
        CHECK(load_failure(talk, bad).first == Fault::bad_file);
    }
    SECTION("not there") {
        CHECK(load_failure(talk, folder.path("nothing")).first == Fault::bad_file);
    }
    SECTION("longer than the context") {
        Talk small({.context = 30}, fifty());
        const auto [fault, text] = load_failure(small, path);
        CHECK(fault == Fault::bad_input);
        CHECK(text.find(" 30 ") != std::string::npos);
    }
    SECTION("of a model with other weights") {
        const std::string other = folder.path("other-model");
        std::filesystem::copy(kPebble, other);
        std::string weights = bytes_of(other + "/model.safetensors");
        const uint64_t at = Checkpoint::open(kPebble)->find("layers.3.mlp.up_proj.weight")->offset;
        weights[at] = static_cast<char>(weights[at] ^ 1);
        std::ofstream(other + "/model.safetensors", std::ios::binary) << weights;
        Talk stranger({.context = 900}, fifty(), other);
        const auto [fault, text] = load_failure(stranger, path);
        CHECK(fault == Fault::bad_file);
        CHECK(text.find("pebble") != std::string::npos);
        CHECK(text.find("other-model") != std::string::npos);
    }
    // None of it has harmed the talk, nor left a draft behind.
    CHECK(!talk.ask("And then?").empty());
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(path).parent_path()))
        CHECK(entry.path().string().find(".new.") == std::string::npos);
}

TEST_CASE("a session that cannot be written leaves the file that was there", "[model]") {
    TemporaryFolder folder;
    Talk talk({.context = 300}, fifty());
    talk.ask("Tell me a story.");
    try {
        talk.chat.save(folder.path("no-folder") + "/talk");
        FAIL("it was saved");
    } catch (const Error& error) {
        CHECK(error.fault() == Fault::bad_input);
    }
    std::filesystem::create_directory(folder.path("a-folder"));
    CHECK_THROWS_AS(talk.chat.save(folder.path("a-folder")), Error);
    CHECK(std::filesystem::is_directory(folder.path("a-folder")));
}

TEST_CASE("a full context forgets the oldest turns, when it may", "[model]") {
    ChatOptions options = fifty("You are a kind teller of tales about animals in the wood.");
    options.shift = true;
    options.max_tokens = 100;
    options.sampler.temperature = 0;
    constexpr uint32_t kContext = 300;
    Talk talk({.context = kContext}, options);
    uint32_t forgotten = 0;
    for (uint32_t turn = 0; turn < 9; ++turn) {
        CAPTURE(turn);
        talk.ask("Tell me a story about a fox and a bear.");
        CHECK(talk.chat.last_end() != EndReason::context_full);
        CHECK(talk.chat.context_used() <= kContext);
        if (talk.chat.forgotten_turns() > forgotten)  // the system text has not run again
            CHECK(talk.chat.stats().cached_tokens >= 10);
        forgotten = talk.chat.forgotten_turns();
    }
    CHECK(talk.chat.turns().size() == 9);
    CHECK(forgotten > 0);
    CHECK(forgotten < 9);

    // What the model sees are the last turns: the same as if the talk had begun there.
    TemporaryFolder folder;
    talk.chat.save(folder.path("talk"));
    const std::string want = talk.ask("And then?");
    Talk again({.context = kContext, .kv = KvType::f32}, options);  // which runs the ids again
    again.chat.load(File::open(folder.path("talk")));
    CHECK(again.ask("And then?") == want);

    // A question that does not fit by itself is refused, and forgets nothing.
    std::string longer;
    for (uint32_t i = 0; i < kContext; ++i)
        longer += "word ";
    const uint32_t before = talk.chat.forgotten_turns();
    CHECK_THROWS_AS(talk.ask(longer), Error);
    CHECK(talk.chat.forgotten_turns() == before);
    CHECK(!talk.ask("And then?").empty());
}

TEST_CASE("a full context ends the answer, when nothing is to be forgotten", "[model]") {
    ChatOptions options = fifty();
    options.max_tokens = 0;
    Talk talk({.context = 60}, options);
    talk.ask("Tell me a story about a fox and a bear.");
    CHECK(talk.chat.last_end() == EndReason::context_full);
    CHECK_THROWS_AS(talk.ask("Tell me a story about a fox and a bear."), Error);
    CHECK(talk.chat.turns().size() == 1);
}

}  // namespace olivine::test
