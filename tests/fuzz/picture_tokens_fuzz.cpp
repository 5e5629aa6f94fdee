// libFuzzer target: prompts with pictures in any order, cut and continued anyhow, on the golden
// tiny-vision. Needs a Vulkan driver.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "engine/device.h"
#include "engine/error.h"
#include "model/checkpoint.h"
#include "model/context.h"
#include "model/model.h"

using namespace olivine;

namespace {

constexpr uint32_t kContext = 64;

struct World {
    World()
        : checkpoint(Checkpoint::open(std::string(OLIVINE_TEST_GOLDENS) + "/tiny-vision")),
          model(device, *checkpoint),
          context(model, {.context = kContext, .sequences = 2, .kv = KvType::f16}) {
        std::vector<Picture> made;
        for (uint32_t side : {1u, 40u, 200u})
            made.push_back({side, side, std::vector<uint32_t>(side * side, 0xff0000ffu + side)});
        pictures = model.vision().encode(made);
    }

    Device device;
    std::unique_ptr<Checkpoint> checkpoint;
    Model model;
    Context context;
    std::vector<PictureRef> pictures;
};

}  // namespace

// Each byte: 0 to 239 a token; 240 to 242 a whole picture; 243 to 245 a single soft token of one;
// 246 an id of no picture; above, what was gathered is run on one of the sequences, after a rewind.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static World world;
    const uint32_t soft = world.model.vision().tokens_per_picture();
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < size; ++i) {
        const uint8_t byte = data[i];
        if (byte < 240) {
            tokens.push_back(byte * 2);
        } else if (byte < 246) {
            tokens.insert(tokens.end(), byte < 243 ? soft : 1, world.pictures[byte % 3]->id);
        } else if (byte == 246) {
            tokens.push_back(-1000);
        } else {
            const uint32_t sequence = byte & 1;
            const uint32_t held = static_cast<uint32_t>(world.context.tokens(sequence).size());
            world.context.rewind(sequence, held * (byte - 247) / 8);
            try {
                for (const float logit :
                     world.model.forward(world.context, sequence, tokens, true, byte % 5))
                    if (!std::isfinite(logit))
                        std::abort();
            } catch (const Error& error) {
                if (error.fault() != Fault::bad_input)
                    std::abort();
            }
            if (world.context.tokens(sequence).size() > kContext)
                std::abort();
            tokens.clear();
        }
    }
    return 0;
}
