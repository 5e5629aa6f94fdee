#include "model/picture_store.h"

namespace olivine {
namespace {

constexpr size_t kRecent = 8;

}  // namespace

void PictureStore::add(std::span<const std::shared_ptr<EncodedPicture>> pictures) {
    std::erase_if(known_, [](const auto& picture) { return picture.expired(); });
    known_.insert(known_.end(), pictures.begin(), pictures.end());
    recent_.insert(recent_.end(), pictures.begin(), pictures.end());
    if (recent_.size() > kRecent)
        recent_.erase(recent_.begin(), recent_.end() - kRecent);
}

PictureRef PictureStore::find(int32_t id) const {
    for (const auto& picture : known_)
        if (PictureRef known = picture.lock(); known && known->id == id)
            return known;
    return nullptr;
}

PictureRef PictureStore::find(const std::array<uint64_t, 2>& hash) const {
    for (const auto& picture : known_)
        if (PictureRef known = picture.lock(); known && known->hash == hash)
            return known;
    return nullptr;
}

}  // namespace olivine
