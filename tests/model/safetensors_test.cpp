#include "model/safetensors.h"

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <ctime>
#include <random>

#include "engine/error.h"
#include "tests/support/gguf_writer.h"

namespace olivine {
namespace {

struct Failure {
    Fault fault;
    std::string text;
};

// A file with this header and `data_bytes` bytes of data; `header_bytes` replaces the true length.
std::vector<std::byte> make(const std::string& header, size_t data_bytes,
                            std::optional<uint64_t> header_bytes = std::nullopt) {
    const uint64_t length = header_bytes.value_or(header.size());
    std::vector<std::byte> bytes(8 + header.size() + data_bytes);
    std::memcpy(bytes.data(), &length, 8);
    std::memcpy(bytes.data() + 8, header.data(), header.size());
    return bytes;
}

Failure failure_of(std::vector<std::byte> bytes) {
    try {
        Safetensors::parse(File::from_bytes(std::move(bytes), "a.safetensors"));
    } catch (const Error& error) {  // the thing under test
        return {error.fault(), error.what()};
    }
    return {Fault::internal, "no error"};
}

// One entry of a header.
std::string tensor(const std::string& name, const std::string& type, const std::string& shape,
                   const std::string& range) {
    return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":[" + shape +
           "],\"data_offsets\":[" + range + "]}";
}

}  // namespace

TEST_CASE("a safetensors header is read", "[cpu][safetensors]") {
    const Safetensors file = Safetensors::open(OLIVINE_TEST_GOLDENS "/tiny-text/model.safetensors");
    CHECK(file.tensors().size() == 106);
    const Safetensors::Tensor* q = file.find("model.layers.3.self_attn.q_proj.weight");
    REQUIRE(q);
    CHECK(q->type == DataType::bf16);
    CHECK(q->shape == std::vector<uint64_t>{256, 120});
    CHECK(q->bytes == 2 * 256 * 120);
    CHECK(!file.find("model.layers.8.self_attn.q_proj.weight"));
    // Types that weights do not have are known by name and size.
    const Safetensors ops = Safetensors::open(OLIVINE_TEST_GOLDENS "/ops.safetensors");
    const Safetensors::Tensor* blocks = ops.find("attention.0.k_block");
    REQUIRE(blocks);
    CHECK(blocks->type_name == "I32");
    CHECK(!blocks->type);
}

TEST_CASE("unusual but valid safetensors headers pass", "[cpu][safetensors]") {
    const auto valid = [](const std::string& header, size_t data) {
        return failure_of(make(header, data)).text == "no error";
    };
    CHECK(valid("{}", 0));
    CHECK(valid("{}        ", 0));
    CHECK(valid("{" + tensor("scalar", "F32", "", "0,4") + "}", 4));
    CHECK(valid("{" + tensor("empty", "F32", "0,7", "0,0") + "}", 0));
    CHECK(valid("{" + tensor("b", "F16", "2", "4,8") + "," + tensor("a", "F32", "1", "0,4") + "}",
                8));
    CHECK(valid("{\"__metadata__\":{\"dtype\":\"pt\"}," + tensor("a", "U8", "3", "0,3") + "}", 3));
}

TEST_CASE("a damaged safetensors file is refused and the message names the place",
          "[cpu][safetensors]") {
    struct Case {
        std::vector<std::byte> bytes;
        const char* in_message;
        Fault fault = Fault::bad_file;
    };
    const auto one = [](const std::string& type, const std::string& shape, const std::string& range,
                        size_t data) {
        return make("{" + tensor("t.w", type, shape, range) + "}", data);
    };
    const std::string two_to_62 = "4611686018427387904";
    const std::string int64_max = "9223372036854775807";
    const std::string good = tensor("t.w", "F32", "1", "0,4");
    const Case cases[] = {
        {{}, "0 bytes"},
        {std::vector<std::byte>(7), "7 bytes"},
        {make("", 0), "byte 8"},
        {make("{}", 0, 3), "takes 3 bytes"},
        {make("{}", 0, ~uint64_t{0}), "at most"},
        {make("{}", 0, uint64_t{1} << 40), "at most"},
        {make(" {}", 0), "byte 8"},
        {make("[]", 0), "byte 8"},
        {make("{\"t.w\"", 0), "not valid JSON"},
        {make("{" + good, 4), "not valid JSON"},
        {make("{" + good + "}x", 4), "not valid JSON"},
        {make("{" + good + "}" + std::string(1, '\0'), 4), "not valid JSON"},
        {make("{\"t.w\":3}", 0), "t.w"},
        {make("{\"t.w\":null}", 0), "t.w"},
        {make("{\"t.w\":[]}", 0), "t.w"},
        {make("{\"t.w\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4), "t.w"},
        {make("{\"t.w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4), "t.w"},
        {make("{\"t.w\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4), "t.w"},
        {make("{\"t.w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],"
              "\"data_offsets\":[0,4]}}", 4), "t.w"},
        {make("{\"t.w\":{\"type\":\"F32\"}}", 4), "t.w"},
        {make("{\"t.w\":{\"dtype\":32}}", 4), "t.w"},
        {make("{\"t.w\":{\"dtype\":{}}}", 4), "t.w"},
        {make("{\"t.w\":{\"shape\":[[1]]}}", 4), "t.w"},
        {one("F32", "-1", "0,4", 4), "t.w"},
        {one("F32", "1.0", "0,4", 4), "t.w"},
        {one("F32", "18446744073709551616", "0,4", 4), "t.w"},
        {one("F32", "1,1,1,1,1,1,1,1,1", "0,4", 4), "t.w"},
        {one("F32", "1", "0,4,8", 8), "t.w"},
        {one("F32", "1", "0", 4), "t.w"},
        {one("F32", "1", "4,0", 4), "t.w"},
        {one("F32", two_to_62 + ",8", "0,4", 4), "t.w' (shape [4611686018427387904, 8])"},
        {one("F32", int64_max + ",2", "0,4", 4), "t.w"},
        {one("F32", two_to_62, "0,0", 0), "t.w"},
        {one("F32", two_to_62 + "," + two_to_62 + ",0", "0,0", 0), "t.w"},
        {one("F32", "0," + two_to_62 + "," + two_to_62, "0,0", 0), "t.w"},
        {one("F32", "2", "0,8", 7), "t.w"},
        {one("F32", "1", "0," + int64_max, 4), "t.w"},
        {one("F32", "1", "18446744073709551612,18446744073709551615", 4), "t.w"},
        {one("F32", "1", "0,5", 5), "t.w"},
        {one("F32", "1", "0,3", 3), "t.w"},
        {one("F32", "1", "1,5", 5), "t.w"},   // a hole before
        {one("F32", "1", "0,4", 5), "the last tensor"},
        {one("F4", "1", "0,0", 0), "t.w"},
        {one("F99", "1", "0,4", 4), "F99", Fault::unsupported},
        {make("{" + good + "," + good + "}", 4), "t.w"},
        {make("{" + good + "," + tensor("t.w", "F32", "1", "4,8") + "}", 8), "twice"},
        {make("{" + good + "," + tensor("u.w", "F32", "1", "2,6") + "}", 6), "u.w"},   // overlap
        {make("{" + good + "," + tensor("u.w", "F32", "1", "8,12") + "}", 12), "u.w"},  // hole
        {make("{\"__metadata__\":{\"a\":1}}", 0), "a number"},
        {make("{\"__metadata__\":[]}", 0), "an array"},
    };
    for (const Case& test : cases) {
        const Failure failure = failure_of(test.bytes);
        CAPTURE(&test - cases, failure.text);
        CHECK(failure.fault == test.fault);
        CHECK(failure.text.find(test.in_message) != std::string::npos);
        CHECK(failure.text.starts_with("a.safetensors: "));
    }
}

TEST_CASE("names from a safetensors file cannot act on a terminal", "[cpu][safetensors]") {
    const std::string header = "{\"\\u001b[2J\\u0000" + std::string(300, 'x') + "\":3}";
    const Failure failure = failure_of(make(header, 0));
    CHECK(failure.text.find('\x1b') == std::string::npos);
    CHECK(failure.text.find('\0') == std::string::npos);
    CHECK(failure.text.find("?[2J?xxx") != std::string::npos);
    CHECK(failure.text.size() < 300);
    CHECK(printable("a\xC3\xA4\xE2\x80\xAE\xC2\x9B\xFF") == "a\xC3\xA4" "?????" "?");
}

TEST_CASE("absurd safetensors headers are refused in time", "[cpu][safetensors]") {
    std::string many = "{";
    for (int i = 0; i < 200000; ++i)
        many += (i ? "," : "") + tensor("t" + std::to_string(i), "F32", "0", "0,0");
    many += "}";
    std::string deep = "{\"t.w\":{\"shape\":" + std::string(1 << 20, '[');
    std::string wide = "{\"t.w\":{\"shape\":[0" ;
    for (int i = 0; i < 1 << 20; ++i)
        wide += ",0";
    const std::string* headers[] = {&many, &deep, &wide};
    const std::string blanks = "{" + std::string(15 << 20, ' ');
    const std::string text = "{\"" + std::string(15 << 20, 'x');
    for (const std::string* header : {headers[0], headers[1], headers[2], &blanks, &text}) {
        const std::clock_t start = std::clock();  // processor time: other programs may be busy
        const Failure failure = failure_of(make(*header, 0));
        const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        CAPTURE(failure.text, header->size(), took);
        CHECK(failure.fault == Fault::bad_file);
#ifdef __SANITIZE_ADDRESS__
        CHECK(took < 20);  // instrumented code is many times slower
#else
        CHECK(took < 0.5);
#endif
    }
}

TEST_CASE("random damage to a safetensors header is refused or read, nothing else",
          "[cpu][safetensors]") {
    const auto golden =
        test::read_file(OLIVINE_TEST_GOLDENS "/tiny-gemma2/golden.safetensors");
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, golden.data(), 8);
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::byte> bytes = golden;
        for (uint32_t i = random() % 4 + 1; i > 0; --i)
            bytes[random() % (8 + header_bytes)] = static_cast<std::byte>(random());
        const Failure failure = failure_of(std::move(bytes));
        CAPTURE(round, failure.text);
        CHECK((failure.fault == Fault::bad_file || failure.fault == Fault::unsupported ||
               failure.text == "no error"));
    }
}

}  // namespace olivine
