// Errors as codes, and the sentence of the last one.
#pragma once

#include <exception>
#include <string>

#include "app/embed/olivine.h"

namespace olivine {

// Of the calling thread.
std::string& last_error();

// The code of an exception, and its sentence.
struct Failure {
    olv_result result;
    std::string text;
};
Failure failure_of(const std::exception_ptr& error) noexcept;

// Runs what a call does; what it throws becomes its result.
template <typename Call>
olv_result guarded(const Call& call) noexcept {
    try {
        call();
        return OLV_OK;
    } catch (...) {
        Failure failure = failure_of(std::current_exception());
        last_error() = std::move(failure.text);
        return failure.result;
    }
}

}  // namespace olivine
