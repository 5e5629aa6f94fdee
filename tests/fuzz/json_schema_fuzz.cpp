// libFuzzer target: JSON schemas, and answers that are drawn under those that are taken.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/error.h"
#include "model/constraint.h"

using namespace olivine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const auto vocabulary =
        std::make_shared<const Vocabulary>(Tokenizer::open(OLIVINE_TEST_TOKENIZER));
    std::shared_ptr<Constraint> constraint;
    try {
        constraint = Constraint::json(vocabulary, {reinterpret_cast<const char*>(data), size});
    } catch (const Error& error) {
        if (error.fault() != Fault::bad_input && error.fault() != Fault::unsupported)
            __builtin_trap();
        return 0;
    }
    uint64_t random = size;
    std::string text;
    Constraint::State state = Constraint::kStart;
    for (int step = 0; step < 100; ++step) {
        if (constraint->may_end(state) && !nlohmann::json::accept(text))
            __builtin_trap();
        if (constraint->complete(state))
            return 0;
        const Constraint::Mask mask = constraint->mask(state);
        std::vector<int32_t> ids;
        for (uint32_t id = 0; id < vocabulary->size(); ++id)
            if ((*mask)[id / 32] >> (id % 32) & 1)
                ids.push_back(static_cast<int32_t>(id));
        if (ids.empty())
            __builtin_trap();
        random = random * 6364136223846793005u + 1442695040888963407u;
        const int32_t id = ids[(random >> 33) % ids.size()];
        text += vocabulary->bytes(id);
        state = constraint->after(state, id);
    }
    return 0;
}
