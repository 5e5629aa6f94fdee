#include "engine/spirv.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <utility>

#include "engine/error.h"
#include "engine/pipeline.h"
#include "engine/spirv_table.h"
#include "shaders/params.h"
#include "tests/support/device.h"

namespace olivine::test {
namespace {

// Reflects words that may be anything; only an Error with Fault::internal may come out.
void reflect_anything(std::span<const uint32_t> words) {
    try {
        reflect(words);
    } catch (const Error& error) {  // the thing under test
        if (error.fault() != Fault::internal)
            throw;
    }
}

}  // namespace

TEST_CASE("reflection reads bindings, their access and push constants", "[cpu][spirv]") {
    const ShaderInterface interface = reflect(spirv("residual_norm"));
    REQUIRE(interface.bindings.size() == 4);
    CHECK(interface.push_bytes == sizeof(shader::ResidualNormParams));
    for (uint32_t i = 0; i < 4; ++i) {
        CHECK(interface.bindings[i].used);
        CHECK(interface.bindings[i].reads == (i < 3));
        CHECK(interface.bindings[i].writes == (i >= 2));
    }
    // Plain types have no scales.
    CHECK(!reflect(spirv("embed_f16")).bindings[1].used);
    CHECK(reflect(spirv("embed_q8_0")).bindings[1].used);
    // Buffers without a binding are read at their addresses.
    const ShaderInterface straight = reflect(spirv("matmul_straight_q8_0"));
    REQUIRE(straight.bindings.size() == 5);
    CHECK(straight.push_bytes == sizeof(shader::StraightParams));
    CHECK(straight.address_bytes == 24);
    for (uint32_t i = 0; i < 5; ++i) {
        CHECK(straight.bindings[i].used);
        CHECK(straight.bindings[i].by_address == (i < 3));
        CHECK(straight.bindings[i].reads);
        CHECK(straight.bindings[i].writes == (i == 3));
    }
    // Matrices, and functions of their elements, one of which writes.
    const ShaderInterface matrices = reflect(spirv("attention_f32_coopmat2"));
    REQUIRE(matrices.bindings.size() == 6);
    CHECK(matrices.push_bytes == sizeof(shader::AttentionParams));
    for (uint32_t i = 0; i < 6; ++i) {
        CHECK(matrices.bindings[i].reads == (i != 4));
        CHECK(matrices.bindings[i].writes == (i == 4));
    }
}

TEST_CASE("reflection survives damaged words", "[cpu][spirv]") {
    const std::string shader = GENERATE("rms_norm", "attention_f16_subgroup", "matvec_q4_0_geglu",
                                        "matmul_straight_f32");
    const std::span<const uint32_t> good = spirv(shader);
    for (size_t length = 0; length < good.size(); ++length)
        reflect_anything(good.first(length));
    std::vector<uint32_t> words(good.begin(), good.end());
    const std::vector<uint32_t> noise = random_words(words.size() * 2, 1);
    for (size_t i = 0; i < words.size(); ++i) {
        for (const uint32_t bad :
             {noise[i], words[i] ^ (1u << noise[i + 1] % 32), 0u, 0xffffffffu}) {
            const uint32_t before = std::exchange(words[i], bad);
            reflect_anything(words);
            words[i] = before;
        }
    }
    for (uint32_t seed = 0; seed < 50; ++seed) {
        std::vector<uint32_t> random = random_words(200, seed);
        reflect_anything(random);
        random[0] = 0x07230203;  // behind a good magic number
        for (size_t i = 5; i < random.size(); ++i)
            random[i] = (random[i] & 0x000700ff) | 0x00010000;  // short, likely opcodes
        reflect_anything(random);
    }
}

TEST_CASE("a pipeline whose op disagrees with its shader is refused", "[engine]") {
    OpTest test("all rungs");
    const auto fault = [&](uint32_t buffers, uint32_t push_bytes) {
        try {
            const Pipeline pipeline(test.device, {.name = "rms_norm",
                                                  .spirv = spirv("rms_norm"),
                                                  .buffers = buffers,
                                                  .push_bytes = push_bytes,
                                                  .threads = 32,
                                                  .constants = {}});
        } catch (const Error& error) {  // the thing under test
            return std::string(error.what());
        }
        return std::string();
    };
    CHECK(fault(3, sizeof(shader::RmsNormParams)).empty());
    CHECK(fault(4, sizeof(shader::RmsNormParams)).find("3 bindings") != std::string::npos);
    CHECK(fault(3, 12).find("16 bytes of push constants") != std::string::npos);
    CHECK_THROWS_AS(spirv("no_such_shader"), Error);
}

}  // namespace olivine::test
