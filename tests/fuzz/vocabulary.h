// What must hold of a vocabulary that was accepted, whatever file it came from.
#pragma once

#include <string_view>
#include <utility>

#include "model/sentencepiece_model.h"
#include "model/tokenizer.h"

namespace olivine {

inline void use_vocabulary(TokenizerVocabulary vocabulary) {
    const Tokenizer tokenizer = Tokenizer::from_vocabulary(std::move(vocabulary));
    for (const std::string_view text : {std::string_view("the model  \n<b>\xff"),
                                        std::string_view("<start_of_turn><unused1><unk>")})
        for (const int32_t id : tokenizer.encode(text))
            if (id < 0 || id >= tokenizer.size() ||
                (tokenizer.is_control(id) && id != tokenizer.specials().unk))
                __builtin_trap();
}

}  // namespace olivine
