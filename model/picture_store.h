// Encoded pictures, in host memory: they outlive the encoder and the device.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace olivine {

// A picture as the text model reads it.
struct EncodedPicture {
    // Stands for each of its soft tokens in a prompt: negative, and another one for every picture
    // that differs from those before it.
    int32_t id = 0;
    std::array<uint64_t, 2> hash{};  // of its pixels; where only the device had them, of its soft tokens
    std::vector<float> soft_tokens;  // [mm_tokens_per_image][hidden]
};
using PictureRef = std::shared_ptr<const EncodedPicture>;

class PictureStore {
public:
    int32_t next_id() { return --last_id_; }
    // Keeps the last few of them, even if nobody else does.
    void add(std::span<const std::shared_ptr<EncodedPicture>> pictures);

    // A picture that somebody still holds or that was added of late; else null.
    PictureRef find(int32_t id) const;
    PictureRef find(const std::array<uint64_t, 2>& hash) const;

private:
    int32_t last_id_ = 0;
    std::vector<std::weak_ptr<const EncodedPicture>> known_;
    std::vector<PictureRef> recent_;
};

}  // namespace olivine
