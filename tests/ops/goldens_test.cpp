// The operations against tests/goldens/ops.safetensors: outputs that another implementation
// computed.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/safetensors.h"
#include "shaders/params.h"
#include "engine/selftest/guarded.h"
#include "tests/support/kv.h"
#include "tests/support/sampler.h"

namespace olivine::test {
namespace {

// One case of ops.json.
struct Golden {
    std::string name;
    nlohmann::json params;

    double number(const char* key) const {
        const auto found = params.find(key);
        return found == params.end() || found->is_null() ? 0 : found->get<double>();
    }
    std::vector<uint64_t> shape(const std::string& tensor) const { return find(tensor).shape; }
    std::vector<float> floats(const std::string& tensor) const {
        return values<float>(tensor, "F32");
    }
    std::vector<int32_t> ints(const std::string& tensor) const {
        return values<int32_t>(tensor, "I32");
    }
    std::vector<uint8_t> bytes(const std::string& tensor) const {
        return values<uint8_t>(tensor, "U8");
    }

private:
    static const Safetensors& file() {
        static const Safetensors opened =
            Safetensors::open(OLIVINE_TEST_GOLDENS "/ops.safetensors");
        return opened;
    }
    const Safetensors::Tensor& find(const std::string& tensor) const {
        const Safetensors::Tensor* found = file().find(name + "." + tensor);
        REQUIRE(found);
        return *found;
    }
    template <typename T>
    std::vector<T> values(const std::string& tensor, const std::string& type) const {
        const Safetensors::Tensor& found = find(tensor);
        REQUIRE(found.type_name == type);
        std::vector<T> all(found.bytes / sizeof(T));
        file().file().read(found.offset, std::as_writable_bytes(std::span(all)));
        return all;
    }
};

std::vector<Golden> goldens_of(const std::string& op) {
    std::ifstream file(OLIVINE_TEST_GOLDENS "/ops.json");
    std::vector<Golden> list;
    const nlohmann::json all = nlohmann::json::parse(file);
    for (const nlohmann::json& one : all.at("cases"))
        if (one.at("op") == op)
            list.push_back({one.at("name"), one.at("params")});
    REQUIRE(!list.empty());
    return list;
}

// f32 values as a matrix to be uploaded.
FileRows rows_of(const std::vector<float>& values, uint32_t cols) {
    const auto bytes = std::as_bytes(std::span(values));
    return {DataType::f32,
            static_cast<uint32_t>(values.size() / cols),
            cols,
            {bytes.begin(), bytes.end()},
            {}};
}

std::vector<float> run_linear(OpTest& test, const FileRows& weight, const std::vector<float>& x,
                              Epilogue epilogue = Epilogue::none, double cap = 0) {
    const Matrix matrix = upload(test.device, weight);
    const uint32_t tokens = static_cast<uint32_t>(x.size() / weight.cols);
    GuardedRows in(test.device, tokens, weight.cols, x);
    GuardedRows out(test.device, tokens,
                    epilogue == Epilogue::geglu ? weight.rows / 2 : weight.rows);
    run(test.device, [&](Recorder& recorder) {
        test.ops.linear.record(recorder, matrix, in.activation(), out.activation(), epilogue,
                               static_cast<float>(cap));
    });
    CHECK(out.intact());
    return out.read();
}

}  // namespace

TEST_CASE("golden rms_norm", "[op][golden]") {
    OpTest test("all rungs");
    for (const Golden& golden : goldens_of("rms_norm")) {
        CAPTURE(golden.name);
        const std::vector<float> weight = golden.floats("weight"), want = golden.floats("y");
        const uint32_t cols = static_cast<uint32_t>(weight.size());
        const uint32_t rows = static_cast<uint32_t>(want.size() / cols);
        GuardedRows src(test.device, rows, cols, golden.floats("x")), dst(test.device, rows, cols);
        Guarded w = guarded(test.device, weight);
        run(test.device, [&](Recorder& recorder) {
            test.ops.rms_norm.record(recorder, src.activation(), w.slice(), dst.activation(),
                                     static_cast<float>(golden.number("eps")));
        });
        CHECK(nmse(want, dst.read()) < 1e-12);
    }
}

TEST_CASE("golden linear, soft cap and GeGLU", "[op][golden]") {
    OpTest test("all rungs");
    for (const Golden& golden : goldens_of("linear")) {
        CAPTURE(golden.name);
        const FileRows weight =
            rows_of(golden.floats("weight"), static_cast<uint32_t>(golden.shape("weight")[1]));
        if (golden.name == "linear.1")  // has a bias, which Gemma's text side does not
            continue;
        CHECK(nmse(golden.floats("y"), run_linear(test, weight, golden.floats("x"))) < 1e-12);
    }
    for (const Golden& golden : goldens_of("softcap")) {
        CAPTURE(golden.name);
        const FileRows one = rows_of({1}, 1);
        CHECK(nmse(golden.floats("y"), run_linear(test, one, golden.floats("x"), Epilogue::none,
                                                  golden.number("cap"))) < 1e-12);
    }
    for (const Golden& golden : goldens_of("gelu_tanh")) {
        std::vector<float> pairs;  // gate = x, up = 1
        for (const float x : golden.floats("x"))
            pairs.insert(pairs.end(), {x, 1});
        const FileRows identity = rows_of({1, 0, 0, 1}, 2);
        CHECK(nmse(golden.floats("y"), run_linear(test, identity, pairs, Epilogue::geglu)) < 1e-12);
    }
    for (const Golden& golden : goldens_of("geglu_mlp")) {
        const std::vector<float> gate = golden.floats("gate"), up = golden.floats("up");
        const uint32_t inner = static_cast<uint32_t>(golden.shape("gate")[0]);
        const uint32_t cols = static_cast<uint32_t>(golden.shape("gate")[1]);
        std::vector<float> both;
        for (uint32_t r = 0; r < inner; ++r) {
            both.insert(both.end(), gate.begin() + r * cols, gate.begin() + (r + 1) * cols);
            both.insert(both.end(), up.begin() + r * cols, up.begin() + (r + 1) * cols);
        }
        const std::vector<float> products =
            run_linear(test, rows_of(both, cols), golden.floats("x"), Epilogue::geglu);
        const FileRows down = rows_of(golden.floats("down"), inner);
        CHECK(nmse(golden.floats("y"), run_linear(test, down, products)) < 1e-12);
    }
}

TEST_CASE("golden rope", "[op][golden]") {
    OpTest test("all rungs");
    for (const Golden& golden : goldens_of("rope")) {
        CAPTURE(golden.name);
        const std::vector<float> x = golden.floats("x");
        const std::vector<uint64_t> shape = golden.shape("x");  // [rows][heads][head_dim]
        const HeadShape heads{static_cast<uint32_t>(shape[1]), 1, static_cast<uint32_t>(shape[2])};
        const uint32_t padded = heads.padded_dim();
        std::vector<shader::Row> row_values;
        uint32_t positions = 0;
        for (const int32_t position : golden.ints("positions")) {
            const uint32_t at = static_cast<uint32_t>(position);
            row_values.push_back({.token = 0, .position = at, .sequence = 0, .last_visible = at});
            positions = std::max(positions, at + 1);
        }
        const uint32_t count = static_cast<uint32_t>(row_values.size());
        const uint32_t queries = heads.heads * heads.head_dim, fused = queries + 2 * heads.head_dim;
        std::vector<float> qkv;
        for (uint32_t r = 0; r < count; ++r) {
            qkv.insert(qkv.end(), x.begin() + r * queries, x.begin() + (r + 1) * queries);
            qkv.resize(qkv.size() + 2 * heads.head_dim, 1.0f);
        }
        const RopeTable table(test.device, heads.head_dim, golden.number("theta"),
                              golden.number("factor"), positions);
        GuardedRows in(test.device, count, fused, qkv);
        Guarded rows = guarded(test.device, row_values);
        Guarded q(test.device, uint64_t{count} * heads.heads * padded * 4);
        GuardedKv kv(test.device, heads, KvType::f32, 1, count, 0);
        run(test.device, [&](Recorder& recorder) {
            test.ops.rope_store.record(recorder, in.activation(), rows.slice(), &table, {}, heads, 1,
                                       0, q.slice(), kv.layer());
        });
        std::vector<float> got;
        const std::vector<float> all = q.read<float>();
        for (uint32_t h = 0; h < count * heads.heads; ++h)
            got.insert(got.end(), all.begin() + h * padded,
                       all.begin() + h * padded + heads.head_dim);
        CHECK(nmse(golden.floats("y"), got) < 1e-12);
    }
}

TEST_CASE("golden attention", "[op][golden]") {
    OpTest test("all rungs");
    for (const Golden& golden : goldens_of("attention")) {
        CAPTURE(golden.name);
        const std::vector<uint64_t> q_shape = golden.shape("q"), k_shape = golden.shape("k");
        const uint32_t count = static_cast<uint32_t>(q_shape[0]);
        const uint32_t length = static_cast<uint32_t>(k_shape[0]);
        const HeadShape shape{static_cast<uint32_t>(q_shape[1]), static_cast<uint32_t>(k_shape[1]),
                              static_cast<uint32_t>(q_shape[2])};
        const uint32_t width = shape.head_dim, padded = shape.padded_dim();
        const bool causal = golden.params.at("causal");

        // The last key that the mask shows to a row.
        std::vector<shader::Row> row_values;
        for (uint32_t r = 0; r < count; ++r) {
            shader::Row row{.token = 0, .position = r, .sequence = 0, .last_visible = length - 1};
            if (causal) {
                const std::vector<uint8_t> mask = golden.bytes("mask");
                row.position = static_cast<uint32_t>(golden.ints("q_pos")[r]);
                while (!mask[r * length + row.last_visible])
                    --row.last_visible;
            }
            row_values.push_back(row);
        }
        const auto padded_heads = [&](const std::vector<float>& values, double scale) {
            std::vector<float> plane;
            for (size_t at = 0; at < values.size(); at += width) {
                for (uint32_t i = 0; i < width; ++i)
                    plane.push_back(static_cast<float>(values[at + i] * scale));
                plane.resize(plane.size() + padded - width, 0.0f);
            }
            return plane;
        };
        GuardedKv kv(test.device, shape, KvType::f32, 1, length,
                     static_cast<uint32_t>(golden.number("window")));
        kv.write_keys(padded_heads(golden.floats("k"), 1));
        kv.write_values(padded_heads(golden.floats("v"), 1));
        Guarded q = guarded(test.device, padded_heads(golden.floats("q"), golden.number("scale")));
        Guarded rows = guarded(test.device, row_values);
        Guarded parts(test.device, Attention::parts_bytes(shape, 1));
        Guarded arrivals = guarded(test.device, std::vector<uint32_t>(shape.kv_heads));
        GuardedRows dst(test.device, count, shape.heads * width);
        run(test.device, [&](Recorder& recorder) {
            test.ops.attention.record_prefill(recorder, q.slice(), kv.layer(), rows.slice(), shape,
                                              static_cast<float>(golden.number("softcap")),
                                              dst.activation(), {parts.slice(), arrivals.slice()});
        });
        CHECK(nmse(golden.floats("y"), dst.read()) < 1e-12);
        CHECK(dst.intact());
    }
}

TEST_CASE("golden sampling", "[op][golden]") {
    OpTest test("all rungs");
    for (const Golden& golden : goldens_of("sampling_probabilities")) {
        CAPTURE(golden.name);
        const std::vector<float> logits = golden.floats("logits");
        const SamplerSettings settings{.temperature = golden.number("temperature"),
                                       .top_p = golden.number("top_p"),
                                       .top_k = static_cast<uint32_t>(golden.number("top_k"))};
        // Our reference agrees with the golden, and the shader with our reference.
        CHECK(max_abs_error(sampling_probabilities(logits, settings), golden.floats("probs")) <
              1e-7);
        check_distribution(test, logits, settings, 1024);
    }
}

}  // namespace olivine::test
