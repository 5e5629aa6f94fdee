// Conversations to and from memory.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "app/embed/olivine.h"
#include "tests/embed/support.h"

using namespace olivine::test;

namespace {

std::string bytes_of(olv_session* session) {
    const void* data = nullptr;
    uint64_t count = 0;
    REQUIRE(olv_session_bytes(session, &data, &count) == OLV_OK);
    return {static_cast<const char*>(data), count};
}

std::string saved(Opened& it, olv_session* session) {
    REQUIRE(olv_session_save_bytes(session) == OLV_OK);
    REQUIRE(wait_for(it.device, session).last.kind == OLV_EVENT_DONE);
    return bytes_of(session);
}

Answer loaded(Opened& it, olv_session* session, std::string bytes) {
    REQUIRE(olv_session_load_bytes(session, bytes.data(), bytes.size()) == OLV_OK);
    bytes.assign(bytes.size(), '?');  // it has been copied
    return wait_for(it.device, session);
}

}  // namespace

TEST_CASE("a conversation goes on from memory, to the bit") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    std::string bytes, expected, after;
    {
        Opened it(work);
        olv_session* session = it.session(kPersona);
        ask(it.device, session, "Tell me a story.");
        bytes = saved(it, session);
        const std::string path =
            std::filesystem::temp_directory_path() / "olivine-embed-bytes.session";
        REQUIRE(olv_session_save(session, path.c_str()) == OLV_OK);
        CHECK(wait_for(it.device, session).last.kind == OLV_EVENT_DONE);
        std::ifstream file(path, std::ios::binary);
        CHECK(bytes == std::string(std::istreambuf_iterator<char>(file), {}));
        std::filesystem::remove(path);
        expected = ask(it.device, session, "What then?").text;
        CHECK(bytes_of(session) == bytes);  // still
        after = saved(it, session);         // keys and values included
        CHECK(after != bytes);
    }
    Opened it(work);
    olv_session* session = it.session("Somebody else.");
    CHECK(loaded(it, session, bytes).last.context_used > 0);
    CHECK(saved(it, session) == bytes);
    CHECK(ask(it.device, session, "What then?").text == expected);
    CHECK(saved(it, session) == after);
    // Beside it, in another session of the same model.
    olv_session* other = it.session();
    CHECK(loaded(it, other, bytes).error.empty());
    CHECK(ask(it.device, other, "What then?").text == expected);
}

TEST_CASE("damaged bytes leave the conversation as it was") {
    Opened it(OLV_TICK);
    olv_session* session = it.session(kPersona);
    ask(it.device, session, "Tell me a story.");
    const std::string whole = saved(it, session);
    const auto refused = [&](const std::string& bytes) {
        const Answer answer = loaded(it, session, bytes);
        CHECK(answer.last.result == OLV_BAD_FILE);
        CHECK(answer.error.starts_with("olv_session_load_bytes: "));
    };
    for (const size_t length :
         {size_t{0}, size_t{1}, size_t{31}, size_t{32}, whole.size() / 2, whole.size() - 1})
        refused(whole.substr(0, length));
    refused(whole + "x");
    for (const size_t at :
         {size_t{0}, size_t{9}, size_t{20}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
        std::string bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
        refused(bytes);
    }
    CHECK(saved(it, session) == whole);
}

TEST_CASE("there are bytes once they are saved, until they are saved again") {
    Opened it(OLV_TICK);
    olv_session* session = it.session();
    const void* data = &it;
    uint64_t count = 1;
    CHECK(olv_session_bytes(session, &data, &count) == OLV_BAD_INPUT);
    CHECK((!data && count == 0));
    saved(it, session);  // of an empty conversation
    REQUIRE(olv_session_save_bytes(session) == OLV_OK);
    CHECK(olv_session_bytes(session, &data, &count) == OLV_BAD_INPUT);
    CHECK(olv_session_save_bytes(session) == OLV_BAD_INPUT);  // under way
    CHECK(olv_session_load_bytes(session, "x", 1) == OLV_BAD_INPUT);
    REQUIRE(olv_cancel(session) == OLV_OK);
    CHECK(wait_for(it.device, session).last.result == OLV_CANCELLED);
    CHECK(olv_session_bytes(session, &data, &count) == OLV_BAD_INPUT);
    CHECK(olv_session_load_bytes(session, nullptr, 4) == OLV_BAD_INPUT);
    CHECK(olv_session_bytes(session, nullptr, &count) == OLV_BAD_INPUT);
    CHECK(olv_session_bytes(nullptr, &data, &count) == OLV_BAD_INPUT);
    CHECK(olv_session_save_bytes(nullptr) == OLV_BAD_INPUT);
    // Destroyed with what it has, and in the middle.
    saved(it, session);
    REQUIRE(olv_session_save_bytes(session) == OLV_OK);
    olv_session_destroy(session);
    REQUIRE(olv_tick(it.device, 100000) == OLV_OK);  // its place is made free
    CHECK(olv_busy(it.device) == 0);
}
