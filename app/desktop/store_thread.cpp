#include "app/desktop/store_thread.h"

namespace olivine::desktop {

StoreThread::StoreThread(const QString& folder) : folder_(folder), thread_("store") {}

StoreThread::~StoreThread() = default;

// On the thread. A store that does not open is tried again: the disk may be back.
Store& StoreThread::store() {
    if (!store_) {
        store_ = std::make_unique<Store>(folder_);
        searching_ = store_.get();
    }
    return *store_;
}

void StoreThread::interrupt_search() {
    if (Store* const store = searching_)
        store->interrupt();
}

}  // namespace olivine::desktop
