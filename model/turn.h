// What was said in a conversation.
#pragma once

#include <string>
#include <vector>

#include "model/picture_store.h"

namespace olivine {

struct AttachedPicture {
    std::string name;                 // as the caller calls it
    std::vector<PictureRef> encoded;  // the picture, then its crops, if any
};

// One question and its answer.
struct Turn {
    std::string user;
    std::vector<AttachedPicture> pictures;  // before the text
    std::string answer;  // empty when it was stopped before the first word
    // The answer as it was drawn, without what ended it: its text may have been made by other ids.
    std::vector<int32_t> answer_ids;
};

}  // namespace olivine
