#include "engine/capabilities.h"

#include "engine/error.h"

namespace olivine {

const char* name(Rung rung) {
    switch (rung) {
    case Rung::subgroup: return "subgroup";
    case Rung::storage16: return "storage16";
    case Rung::fp16: return "fp16";
    case Rung::int_dot: return "int_dot";
    case Rung::coopmat: return "coopmat";
    case Rung::coopmat_bf16: return "coopmat_bf16";
    case Rung::coopmat_int8: return "coopmat_int8";
    case Rung::coopmat2: return "coopmat2";
    }
    return "?";
}

void RungSet::set(Rung rung, bool on) {
    const uint32_t bit = 1u << static_cast<uint32_t>(rung);
    bits_ = on ? bits_ | bit : bits_ & ~bit;
}

RungSet RungSet::without(const RungSet& others) const {
    RungSet set;
    set.bits_ = bits_ & ~others.bits_;
    return set;
}

RungSet RungSet::up_to(Rung highest) const {
    RungSet set;
    set.bits_ = bits_ & ((2u << static_cast<uint32_t>(highest)) - 1);
    return set;
}

std::vector<std::string> RungSet::names() const {
    std::vector<std::string> list;
    for (uint32_t i = 0; i < kRungs; ++i)
        if (has(static_cast<Rung>(i)))
            list.emplace_back(name(static_cast<Rung>(i)));
    return list;
}

RungSet RungSet::parse(std::string_view list) {
    RungSet set;
    while (!list.empty()) {
        const size_t comma = list.find(',');
        const std::string_view word = list.substr(0, comma);
        list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
        bool known = word.empty();
        for (uint32_t i = 0; i < kRungs; ++i) {
            if (word == name(static_cast<Rung>(i))) {
                set.set(static_cast<Rung>(i));
                known = true;
            }
        }
        if (!known)
            fail(Fault::bad_input,
                 "Rung '%.*s' does not exist (there are subgroup, storage16, fp16, int_dot, coopmat, "
                 "coopmat_bf16, coopmat_int8, coopmat2).",
                 static_cast<int>(word.size()), word.data());
    }
    return set;
}

}  // namespace olivine
