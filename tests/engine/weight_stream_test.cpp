// Groups of weights that take turns in two slots, in any order.
#include "engine/weight_stream.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>

#include "engine/ops/linear.h"
#include "engine/selftest/random.h"

namespace olivine::test {

TEST_CASE("a slot is not written while a slice reads it", "[engine][stream]") {
    // Long enough for a copy to overtake the slice if nothing held it.
    constexpr uint32_t kRows = 4096, kCols = 512, kTokens = 64, kGroups = 5;
    DeviceOptions options;
    options.as_gpu = GENERATE(false, true);
    CAPTURE(options.as_gpu);
    Device device(options);
    Linear linear(device);
    const std::vector<float> values = selftest::random_floats(kTokens * kCols, -1, 1, 1);
    const Buffer x(device, Arena::activations, values.size() * 4);
    write(device, x.slice(), std::as_bytes(std::span(values)));
    const Activation input{x.slice(), kTokens, kCols, kCols};
    std::vector<Matrix> matrices(kGroups);
    const MatrixPart part{DataType::f32, kRows};
    for (uint32_t i = 0; i < kGroups; ++i) {
        matrices[i] = Matrix(device, std::span(&part, 1), kCols, Home::host);
        const std::vector<float> weights = selftest::random_floats(kRows * kCols, -1, 1, 2 + i);
        const RowSource source{
            DataType::f32, kRows, [&](uint32_t first, uint32_t, std::span<std::byte> out) {
                std::memcpy(out.data(), &weights[size_t{first} * kCols], out.size());
            }};
        Uploader uploader(device);
        matrices[i].upload(uploader, std::span(&source, 1), RowOrder::stacked);
    }

    // Products with the groups in this order, whose slots are not those in turn.
    const std::vector<uint32_t> order = {0, 2, 4, 1, 3, 3, 0, 4, 2, 1};
    std::vector<Buffer> results;
    for (size_t i = 0; i < order.size(); ++i)
        results.emplace_back(device, Arena::activations, uint64_t{kTokens} * kRows * 4);
    const auto products = [&] {
        Recorder recorder(device, "products");
        for (size_t i = 0; i < order.size(); ++i)
            linear.record(recorder, matrices[order[i]], input,
                          {results[i].slice(), kTokens, kRows, kRows});
        return recorder.finish();
    };
    const auto read_all = [&] {
        std::vector<std::byte> bytes;
        for (const Buffer& result : results) {
            bytes.resize(bytes.size() + result.bytes());
            read(device, result.slice(), std::span(bytes).last(result.bytes()));
        }
        return bytes;
    };
    std::vector<std::byte> streamed;
    {
        std::vector<std::vector<StreamedPiece>> groups;
        for (Matrix& matrix : matrices)
            groups.push_back({{&matrix, 0}});
        WeightStream stream(device, groups);
        Plan plan = products();
        CHECK(plan.slices() ==
              1 + order.size() - 1);  // nothing before the first; one group twice in a row
        for (int run = 0; run < 3; ++run)
            plan.run();
        streamed = read_all();
    }
    Uploader uploader(device);
    for (Matrix& matrix : matrices)
        matrix.enter_device(uploader, 0, false);
    products().run();
    const bool equal = streamed == read_all();
    CHECK(equal);  // without megabytes in a message
    CHECK(device.validation_messages() == 0);
}

}  // namespace olivine::test
