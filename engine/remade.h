// Objects that survive the loss of their device: they are dropped before it is destroyed, and made
// anew on the next (Device::surviving).
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "engine/device.h"
#include "engine/error.h"

namespace olivine {

// Something that a device drops and makes anew. Registered from construction to destruction; what
// is made later is dropped earlier, and made anew later.
class Resident {
public:
    explicit Resident(Device& device) : device_(device) { device.residents_.push_back(this); }
    virtual ~Resident() { std::erase(device_.residents_, this); }
    Resident(const Resident&) = delete;
    Resident& operator=(const Resident&) = delete;

    virtual void drop() noexcept = 0;  // also of what is not there
    virtual void make() = 0;

protected:
    Device& device_;
};

// A T on a device, at one address, though not always the same T.
template <typename T>
class Remade final : public Resident {
public:
    // Emplaces a T, from nothing that lives on the device but what was registered before.
    using Make = std::function<void(std::optional<T>&)>;
    // Makes the first, again where the device is lost in between. Throws what `make` throws.
    Remade(Device& device, Make make) : Resident(device), make_(std::move(make)) {
        device.surviving([this] {
            if (!object_)
                make_(object_);
        });
    }

    // Throw device_lost where the device is lost and nobody has set it up anew.
    T& operator*() {
        check();
        return *object_;
    }
    const T& operator*() const {
        check();
        return *object_;
    }
    T* operator->() { return &**this; }
    const T* operator->() const { return &**this; }

    void drop() noexcept override { object_.reset(); }
    // After a failure, who asks for the object is told the same.
    void make() override {
        failure_.reset();
        try {
            make_(object_);
        } catch (const Error& error) {
            failure_ = error;
            throw;
        }
    }

private:
    void check() const {
        if (!object_ && failure_)
            throw *failure_;
        if (!object_)
            fail(Fault::device_lost, "The device is lost and has not been set up anew.");
    }
    Make make_;
    std::optional<T> object_;
    std::optional<Error> failure_;
};

}  // namespace olivine
