#include "model/gguf.h"

#include <sys/resource.h>

#include <catch2/catch_test_macros.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>

#include "engine/error.h"
#include "model/config.h"
#include "tests/support/gguf_writer.h"

namespace olivine {
namespace {

using test::GgufWriter;

constexpr uint64_t k62 = uint64_t{1} << 62;
constexpr uint64_t kInt64Max = INT64_MAX;

struct Failure {
    Fault fault;
    std::string text;
};

// Processor time, since other programs may be busy.
double seconds() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

Gguf parse(std::vector<std::byte> bytes) {
    return Gguf::parse(File::from_bytes(std::move(bytes), "a.gguf"));
}

Failure failure_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {  // the thing under test
        return {error.fault(), error.what()};
    }
    return {Fault::internal, "no error"};
}

// Bytes of a value: the type number, then whatever follows.
class Raw {
public:
    explicit Raw(uint32_t type) { add(type); }
    template <typename T>
    Raw& add(T value) {
        bytes_.resize(bytes_.size() + sizeof value);
        std::memcpy(bytes_.data() + bytes_.size() - sizeof value, &value, sizeof value);
        return *this;
    }
    operator std::span<const std::byte>() const { return bytes_; }

private:
    std::vector<std::byte> bytes_;
};

GgufWriter::Tensor plain_tensor(std::string name, std::vector<uint64_t> shape, uint32_t type_id,
                                size_t bytes) {
    return {.name = std::move(name), .shape = std::move(shape), .type_id = type_id,
            .data = std::vector<std::byte>(bytes), .offset = {}};
}

// A header that config_from_gguf accepts, with an embedding of 4 x 64.
GgufWriter small_model(const std::string& architecture = "gemma3") {
    GgufWriter writer;
    writer.add_string("general.architecture", architecture);
    const std::string prefix = architecture + ".";
    writer.add_u32(prefix + "context_length", 512);
    writer.add_u32(prefix + "embedding_length", 64);
    writer.add_u32(prefix + "feed_forward_length", 96);
    writer.add_u32(prefix + "attention.head_count", 4);
    writer.add_u32(prefix + "attention.head_count_kv", 2);
    writer.add_u32(prefix + "attention.key_length", 32);
    writer.add_f32(prefix + "attention.layer_norm_rms_epsilon", 1e-6f);
    writer.add_tensor(plain_tensor("token_embd.weight", {4, 64}, 0, 4 * 64 * 4));
    return writer;
}

void complete(GgufWriter& writer, const std::string& architecture, uint32_t layers) {
    writer.add_u32(architecture + ".block_count", layers);
    writer.add_u32(architecture + ".attention.sliding_window", 16);
}

}  // namespace

TEST_CASE("GGUF metadata and tensors are read", "[cpu][gguf]") {
    GgufWriter writer;
    writer.add_u32("u", 7);
    writer.add_i32("i", -3);
    writer.add_f32("f", 0.5f);
    writer.add_bool("b", true);
    writer.add_string("s", "text");
    writer.add_strings("tokens", {"a", "", std::string("\0\xff", 2)});
    writer.add_floats("scores", std::vector<float>{0, -1.5f});
    writer.add_ints("kinds", std::vector<int32_t>{1, -6});
    writer.add_bools("layers", {true, false, true});
    writer.add_tensor(plain_tensor("first", {3, 64}, 8, 3 * 2 * 34));
    writer.add_tensor(plain_tensor("second", {5}, 0, 20));
    for (const uint32_t version : {2u, 3u}) {
        writer.version = version;
        const Gguf gguf = parse(writer.bytes());
        CHECK(gguf.version() == version);
        CHECK(gguf.find_uint("u") == 7);
        CHECK(gguf.find_float("f") == 0.5);
        CHECK(gguf.find_bool("b") == true);
        CHECK(gguf.get_string("s") == "text");
        CHECK(*gguf.strings("tokens") ==
              std::vector<std::string>{"a", "", std::string("\0\xff", 2)});
        CHECK(*gguf.floats("scores") == std::vector<float>{0, -1.5f});
        CHECK(*gguf.ints("kinds") == std::vector<int64_t>{1, -6});
        CHECK(*gguf.bools("layers") == std::vector<bool>{true, false, true});
        CHECK(gguf.holds_bools("layers"));
        CHECK(!gguf.has("absent"));
        CHECK(!gguf.find_uint("absent"));
        CHECK(!gguf.strings("absent"));
        CHECK(failure_of([&] { gguf.get_uint("absent"); }).text ==
              "a.gguf: key 'absent' is missing.");
        CHECK(failure_of([&] { gguf.find_uint("i"); }).text ==
              "a.gguf: key 'i' is -3 (at least 0).");
        REQUIRE(gguf.tensors().size() == 2);
        const Gguf::Tensor& first = gguf.tensors()[0];
        CHECK(first.type == DataType::q8_0);
        CHECK(first.shape == std::vector<uint64_t>{3, 64});
        CHECK(first.bytes == 204);
        CHECK(first.offset % 32 == 0);
        CHECK(gguf.find_tensor("second")->offset == first.offset + 224);
    }
}

TEST_CASE("a GGUF key is never read as another type", "[cpu][gguf]") {
    GgufWriter writer;
    writer.add_u32("k.uint", 1);
    writer.add_f32("k.float", 1);
    writer.add_f64("k.double", 1);
    writer.add_bool("k.bool", true);
    writer.add_string("k.string", "1");
    writer.add_strings("k.strings", {"1"});
    writer.add_floats("k.floats", std::vector<float>{1});
    writer.add_doubles("k.doubles", std::vector<double>{1});
    writer.add_ints("k.ints", std::vector<int32_t>{1});
    writer.add_bools("k.bools", {true});
    const Gguf gguf = parse(writer.bytes());
    struct Getter {
        std::vector<std::string> reads;
        std::function<void(const std::string&)> get;
    };
    const Getter getters[] = {
        {{"k.uint"}, [&](const auto& key) { gguf.find_uint(key); }},
        {{"k.float", "k.double"}, [&](const auto& key) { gguf.find_float(key); }},
        {{"k.bool"}, [&](const auto& key) { gguf.find_bool(key); }},
        {{"k.string"}, [&](const auto& key) { gguf.find_string(key); }},
        {{"k.strings"}, [&](const auto& key) { gguf.strings(key); }},
        {{"k.floats"}, [&](const auto& key) { gguf.floats(key); }},
        {{"k.ints"}, [&](const auto& key) { gguf.ints(key); }},
        {{"k.bools"}, [&](const auto& key) { gguf.bools(key); }},
    };
    int pairs = 0;
    for (const Getter& getter : getters) {
        for (const char* key : {"k.uint", "k.float", "k.double", "k.bool", "k.string", "k.strings",
                                "k.floats", "k.doubles", "k.ints", "k.bools"}) {
            const bool fits = std::count(getter.reads.begin(), getter.reads.end(), key) > 0;
            const Failure failure = failure_of([&] { getter.get(key); });
            CAPTURE(key, &getter - getters, failure.text);
            CHECK(failure.text.find(fits ? "no error" : key) != std::string::npos);
            CHECK((failure.fault == Fault::bad_file) == !fits);
            ++pairs;
        }
    }
    CHECK(pairs == 80);
}

TEST_CASE("a damaged GGUF file is refused and the message names the place", "[cpu][gguf]") {
    struct Case {
        const char* in_message;
        std::function<void(GgufWriter&)> damage;
        Fault fault = Fault::bad_file;
    };
    const auto tensor = [](std::vector<uint64_t> shape, uint32_t type_id, size_t bytes) {
        return [=](GgufWriter& w) { w.add_tensor(plain_tensor("t.w", shape, type_id, bytes)); };
    };
    const Case cases[] = {
        {"start with GGUF", [](GgufWriter& w) { w.magic = "GGML"; }},
        {"version", [](GgufWriter& w) { w.version = 1; }, Fault::unsupported},
        {"version", [](GgufWriter& w) { w.version = 0; }, Fault::unsupported},
        {"version", [](GgufWriter& w) { w.version = 4; }, Fault::unsupported},
        {"big endian", [](GgufWriter& w) { w.version = 0x03000000; }, Fault::unsupported},
        {"4097 keys", [](GgufWriter& w) { w.key_count = 4097; }},
        {"keys", [](GgufWriter& w) { w.key_count = UINT64_MAX; }},
        {"8193 tensors", [](GgufWriter& w) { w.tensor_count = 8193; }},
        {"tensors", [](GgufWriter& w) { w.tensor_count = k62; }},
        {"a key", [](GgufWriter& w) { w.key_count = 3; }},
        {"a tensor's name", [](GgufWriter& w) { w.tensor_count = 1; }},
        {"'k'",
         [](GgufWriter& w) {
             w.add_u32("k", 1);
             w.add_string("k", "x");
         }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(13)); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(UINT32_MAX)); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(7).add(uint8_t{2})); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(10).add(uint32_t{2})); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(8).add(uint64_t{100})); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(8).add(UINT64_MAX)); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(8).add(uint64_t{(1 << 20) + 1})); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(9).add(uint32_t{9}).add(uint64_t{1})); },
         Fault::unsupported},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(9).add(uint32_t{77}).add(uint64_t{1})); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(9).add(uint32_t{4}).add(k62)); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(9).add(uint32_t{4}).add(UINT64_MAX)); }},
        {"'k'", [](GgufWriter& w) { w.add_raw("k", Raw(9).add(uint32_t{8}).add(uint64_t{5})); }},
        {"'k'",
         [](GgufWriter& w) { w.add_raw("k", Raw(9).add(uint32_t{12}).add(uint64_t{1 << 20})); }},
        {"'k'",
         [](GgufWriter& w) {
             w.add_raw("k", Raw(9).add(uint32_t{7}).add(uint64_t{1}).add(uint8_t{255}));
         }},
        {"'k'",
         [](GgufWriter& w) {
             w.add_raw("k", Raw(9).add(uint32_t{10}).add(uint64_t{1}).add(UINT64_MAX));
         }},
        {"a key", [](GgufWriter& w) { w.add_u32(std::string(65536, 'k'), 1); }},
        {"general.alignment", [](GgufWriter& w) { w.add_u32("general.alignment", 0); }},
        {"general.alignment", [](GgufWriter& w) { w.add_u32("general.alignment", 24); }},
        {"general.alignment", [](GgufWriter& w) { w.add_u32("general.alignment", 1u << 31); }},
        {"general.alignment", [](GgufWriter& w) { w.add_u64("general.alignment", k62); }},
        {"general.alignment", [](GgufWriter& w) { w.add_string("general.alignment", "32"); }},
        {"t.w", tensor({}, 0, 4)},
        {"t.w", tensor({1, 1, 1, 1, 1}, 0, 4)},
        {"t.w", tensor({0}, 0, 0)},
        {"t.w", tensor({k62, 8}, 0, 4)},
        {"t.w", tensor({kInt64Max, 2}, 0, 4)},
        {"t.w", tensor({k62}, 0, 4)},
        {"t.w", tensor({UINT64_MAX}, 1, 4)},
        {"t.w", tensor({kInt64Max}, 24, 4)},
        {"t.w", tensor({1 << 16, 1 << 16, 1 << 16, 1 << 16}, 24, 0)},
        {"t.w", tensor({2, 33}, 8, 68)},
        {"t.w", tensor({2, 16}, 2, 18)},
        {"t.w", tensor({2, 128}, 12, 144)},
        {"t.w", tensor({2}, 0, 7)},
        {"t.w", tensor({1}, 0, 0)},
        {"t.w", tensor({1}, 40, 4), Fault::unsupported},
        {"type 99", tensor({1}, 99, 4), Fault::unsupported},
        {"Q4_2", tensor({32}, 4, 18), Fault::unsupported},
        {"Q4_0_4_4", tensor({32}, 31, 18), Fault::unsupported},
        {"t.w", tensor({1}, UINT32_MAX, 4), Fault::unsupported},
        {"u.w",
         [](GgufWriter& w) {  // overlap
             w.add_tensor(plain_tensor("t.w", {16}, 0, 64));
             w.add_tensor(plain_tensor("u.w", {16}, 0, 64));
             w.tensors.back().offset = 32;
         }},
        {"u.w",
         [](GgufWriter& w) {  // hole
             w.add_tensor(plain_tensor("t.w", {8}, 0, 32));
             w.add_tensor(plain_tensor("u.w", {8}, 0, 96));
             w.tensors.back().offset = 64;
         }},
        {"t.w",
         [](GgufWriter& w) {  // offset near 2^64, where rounding up wraps to 0
             w.add_tensor(plain_tensor("t.w", {8}, 0, 32));
             w.tensors.back().offset = UINT64_MAX - 15;
         }},
        {"t.w",
         [](GgufWriter& w) {  // unaligned
             w.add_tensor(plain_tensor("t.w", {8}, 0, 64));
             w.tensors.back().offset = 4;
         }},
        {"t.w",
         [](GgufWriter& w) {  // twice
             w.add_tensor(plain_tensor("t.w", {8}, 0, 32));
             w.add_tensor(plain_tensor("t.w", {8}, 0, 32));
         }},
    };
    CHECK(std::size(cases) > 50);
    for (const Case& test : cases) {
        GgufWriter writer;
        test.damage(writer);
        const Failure failure = failure_of([&] { parse(writer.bytes()); });
        CAPTURE(&test - cases, failure.text);
        CHECK(failure.fault == test.fault);
        CHECK(failure.text.find(test.in_message) != std::string::npos);
        CHECK(failure.text.starts_with("a.gguf: "));
    }
    CHECK(failure_of([] { parse({}); }).fault == Fault::bad_file);
}

TEST_CASE("a GGUF configuration derives what the file leaves out", "[cpu][gguf]") {
    const auto config_of = [](GgufWriter writer, const std::string& architecture, uint32_t layers) {
        complete(writer, architecture, layers);
        return config_from_gguf(parse(writer.bytes()));
    };
    const Config small = config_of(small_model(), "gemma3", 13);
    CHECK(small.vocab_size == 4);
    CHECK(small.query_scale == static_cast<float>(1 / std::sqrt(32.0)));
    CHECK(small.global_layers == layer_pattern(13, 6));
    CHECK(small.rope_theta_global == 1e6);
    CHECK(small.rope_theta_local == 1e4);
    CHECK(small.rope_factor_global == 1);
    CHECK(small.qk_norm);
    CHECK(small.tied_head);
    CHECK(!small.attn_softcap);
    // Both 27B models scale by hidden / heads.
    CHECK(config_of(small_model(), "gemma3", 62).query_scale == 0.25f);
    CHECK(config_of(small_model("gemma2"), "gemma2", 46).query_scale == 0.25f);
    CHECK(config_of(small_model("gemma2"), "gemma2", 62).query_scale == small.query_scale);
    const Config gemma2 = config_of(small_model("gemma2"), "gemma2", 4);
    CHECK(gemma2.attn_softcap == 50.0f);
    CHECK(gemma2.final_softcap == 30.0f);
    CHECK(gemma2.rope_theta_global == 1e4);
    CHECK(gemma2.rope_theta_local == 1e4);
    CHECK(gemma2.global_layers == layer_pattern(4, 2));
    CHECK(!gemma2.qk_norm);

    GgufWriter stated = small_model();
    stated.add_u32("gemma3.attention.sliding_window_pattern", 4);
    stated.add_f32("gemma3.attention.scale", 0.125f);
    stated.add_string("gemma3.rope.scaling.type", "linear");
    stated.add_f32("gemma3.rope.scaling.factor", 8);
    stated.add_f32("gemma3.rope.freq_base_swa", 20000);
    stated.add_u32("tokenizer.ggml.eos_token_id", 106);
    stated.add_u32("tokenizer.ggml.eot_token_id", 1);
    stated.add_u32("tokenizer.ggml.bos_token_id", 2);
    stated.add_string("tokenizer.chat_template", "{{ never executed }}");
    stated.add_tensor(plain_tensor("output.weight", {4, 64}, 0, 1024));
    const Config config = config_of(stated, "gemma3", 8);
    CHECK(config.global_layers == layer_pattern(8, 4));
    CHECK(config.query_scale == 0.125f);
    CHECK(config.rope_factor_global == 8);
    CHECK(config.rope_theta_local == 20000);
    CHECK(config.eos_ids == std::vector<int32_t>{1, 106});
    CHECK(config.bos_id == 2);
    CHECK(!config.tied_head);

    GgufWriter listed = small_model();
    listed.add_bools("gemma3.attention.sliding_window_pattern", {true, false, true});
    CHECK(config_of(listed, "gemma3", 3).global_layers == std::vector<bool>{false, true, false});
}

TEST_CASE("GGUF values that no Gemma has are refused by name", "[cpu][gguf]") {
    struct Case {
        const char* in_message;
        std::function<void(GgufWriter&)> add;
        Fault fault = Fault::bad_file;
        uint32_t layers = 6;
    };
    const auto key = [](const char* text) { return std::string("gemma3.") + text; };
    const Case cases[] = {
        {"num_hidden_layers is 0", [](GgufWriter&) {}, Fault::bad_file, 0},
        {"num_hidden_layers is 513", [](GgufWriter&) {}, Fault::bad_file, 513},
        {"num_hidden_layers is 2147483647", [](GgufWriter&) {}, Fault::bad_file, 2147483647},
        {"gemma3.block_count", [](GgufWriter&) {}, Fault::bad_file, UINT32_MAX},
        {"sliding_window_pattern",
         [&](GgufWriter& w) { w.add_u32(key("attention.sliding_window_pattern"), 0); }},
        {"sliding_window_pattern",
         [&](GgufWriter& w) { w.add_bools(key("attention.sliding_window_pattern"), {true}); }},
        {"sliding_window_pattern",
         [&](GgufWriter& w) { w.add_string(key("attention.sliding_window_pattern"), "6"); }},
        {"query scale", [&](GgufWriter& w) { w.add_f32(key("attention.scale"), NAN); }},
        {"attention.scale", [&](GgufWriter& w) { w.add_u32(key("attention.scale"), 1); }},
        {"rope_theta", [&](GgufWriter& w) { w.add_f32(key("rope.freq_base"), -1); }},
        {"rope scaling factor", [&](GgufWriter& w) { w.add_f32(key("rope.scaling.factor"), 0); }},
        {"rope.scaling.type",
         [&](GgufWriter& w) { w.add_string(key("rope.scaling.type"), "yarn"); },
         Fault::unsupported},
        {"value_length", [&](GgufWriter& w) { w.add_u32(key("attention.value_length"), 64); },
         Fault::unsupported},
        {"final_logit_softcapping",
         [&](GgufWriter& w) { w.add_f32(key("final_logit_softcapping"), -30); }},
        {"split.count", [](GgufWriter& w) { w.add_u32("split.count", 2); }, Fault::unsupported},
        {"eos_token_id", [](GgufWriter& w) { w.add_i32("tokenizer.ggml.eos_token_id", -1); }},
        {"bos_token_id", [](GgufWriter& w) { w.add_string("tokenizer.ggml.bos_token_id", "2"); }},
    };
    for (const Case& test : cases) {
        GgufWriter writer = small_model();
        complete(writer, "gemma3", test.layers);
        test.add(writer);
        const Failure failure = failure_of([&] { config_from_gguf(parse(writer.bytes())); });
        CAPTURE(test.in_message, failure.text);
        CHECK(failure.fault == test.fault);
        CHECK(failure.text.find(test.in_message) != std::string::npos);
    }
    for (const char* architecture : {"llama", "gemma", "gemma3n", "clip"}) {
        const Failure failure = failure_of(
            [&] { config_from_gguf(parse(small_model(architecture).bytes())); });
        CHECK(failure.fault == Fault::unsupported);
        CHECK(failure.text == std::string("a.gguf: key 'general.architecture' is '") +
                                  architecture + "' (supported: gemma2, gemma3).");
    }
    CHECK(failure_of([] { config_from_gguf(parse(small_model().bytes())); }).text ==
          "a.gguf: key 'gemma3.block_count' is missing.");
    GgufWriter none;
    CHECK(failure_of([&] { config_from_gguf(parse(none.bytes())); }).text ==
          "a.gguf: key 'general.architecture' is missing.");
}

TEST_CASE("large GGUF headers take little time", "[cpu][gguf]") {
    GgufWriter writer;
    for (int i = 0; i < 4096 - 3; ++i)
        writer.add_u32("key." + std::to_string(i), 1);
    const std::vector<std::string> tokens(300000, "token");
    writer.add_strings("tokenizer.ggml.tokens", tokens);
    writer.add_floats("tokenizer.ggml.scores", std::vector<float>(300000));
    writer.add_ints("tokenizer.ggml.token_type", std::vector<int32_t>(300000));
    for (int i = 0; i < 8192; ++i)
        writer.add_tensor(plain_tensor("blk." + std::to_string(i), {1}, 0, 4));
    const auto bytes = writer.bytes();
    const double start = seconds();
    const Gguf gguf = parse(bytes);
    const double took = seconds() - start;
    CHECK(gguf.strings("tokenizer.ggml.tokens")->size() == 300000);
    CAPTURE(took);
#ifdef __SANITIZE_ADDRESS__
    CHECK(took < 10);  // instrumented code is many times slower
#else
    CHECK(took < 0.5);
#endif
}

TEST_CASE("random damage to a GGUF header is refused or read, nothing else", "[cpu][gguf]") {
    GgufWriter writer = small_model();
    complete(writer, "gemma3", 6);
    writer.add_strings("tokenizer.ggml.tokens", {"<pad>", "<eos>", "<bos>", "<unk>"});
    writer.add_floats("tokenizer.ggml.scores", std::vector<float>{0, -1, -2, -3});
    writer.add_ints("tokenizer.ggml.token_type", std::vector<int32_t>{3, 3, 3, 2});
    writer.add_bools("gemma3.attention.sliding_window_pattern",
                     {true, true, true, true, true, false});
    for (int i = 0; i < 6; ++i)
        writer.add_tensor(
            plain_tensor("blk." + std::to_string(i) + ".attn_norm.weight", {64}, 0, 256));
    const auto good = writer.bytes();
    const size_t header = good.size() - 1024 - 6 * 256;
    rusage before{};
    getrusage(RUSAGE_SELF, &before);
    std::mt19937 random(11);
    double slowest = 0;
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::byte> bytes = good;
        for (uint32_t i = random() % 4 + 1; i > 0; --i)
            bytes[random() % header] = static_cast<std::byte>(random());
        const double start = seconds();
        const Failure failure = failure_of([&] { config_from_gguf(parse(std::move(bytes))); });
        slowest = std::max(slowest, seconds() - start);
        CAPTURE(round, failure.text);
        CHECK((failure.fault == Fault::bad_file || failure.fault == Fault::unsupported ||
               failure.text == "no error"));
    }
    rusage after{};
    getrusage(RUSAGE_SELF, &after);
    CHECK(slowest < 0.5);
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory
    CHECK(after.ru_maxrss - before.ru_maxrss < 64 * 1024);  // KiB
#endif
    for (size_t size = 0; size < good.size(); ++size) {
        const Failure failure =
            failure_of([&] { parse(std::vector(good.begin(), good.begin() + size)); });
        CAPTURE(size, failure.text);
        CHECK(failure.fault == Fault::bad_file);
    }
}

}  // namespace olivine
