// The store on a thread of its own, so that a slow disk never holds the window.
#pragma once

#include <QObject>
#include <QPointer>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "app/desktop/store.h"
#include "app/desktop/work_thread.h"

namespace olivine::desktop {

class StoreThread : public QObject {
    Q_OBJECT

public:
    // Opens the store on the thread; what fails there, fails each ask() with the same sentence.
    explicit StoreThread(const QString& folder);
    // Everything that was asked is done before it goes.
    ~StoreThread() override;

    using OnError = std::function<void(const QString& sentence)>;

    // Runs work(Store&) on the thread, in the order asked, then then(result), or then() where there is
    // none, on this object's thread; neither `then` nor `on_error` once `context` is gone. Without
    // on_error, failed() tells what went wrong.
    template <typename Work, typename Then>
    void ask(QObject* context, Work work, Then then, OnError on_error = {}) {
        thread_.add([this, context = QPointer<QObject>(context), work = std::move(work),
                     then = std::move(then), on_error = std::move(on_error)]() mutable {
            using Result = std::invoke_result_t<Work, Store&>;
            try {
                if constexpr (std::is_void_v<Result>) {
                    work(store());
                    answer([context, then = std::move(then)]() mutable {
                        if (context)
                            then();
                    });
                } else {
                    answer([context, then = std::move(then), result = work(store())]() mutable {
                        if (context)
                            then(std::move(result));
                    });
                }
            } catch (const std::exception& error) {  // of the disk, told where it was asked
                answer([this, context, on_error = std::move(on_error),
                        text = QString::fromUtf8(error.what())] {
                    if (context && on_error)
                        on_error(text);
                    else if (context)
                        Q_EMIT failed(text);
                });
            }
        });
    }
    template <typename Work>
    void run(Work work) {
        ask(this, std::move(work), [] {});
    }

    // Ends a search that runs.
    void interrupt_search();

Q_SIGNALS:
    void failed(const QString& sentence);

private:
    Store& store();
    void answer(std::function<void()> on_this_thread) {
        QMetaObject::invokeMethod(this, std::move(on_this_thread), Qt::QueuedConnection);
    }

    QString folder_;
    std::unique_ptr<Store> store_;
    std::atomic<Store*> searching_ = nullptr;
    WorkThread thread_;  // the last: its work uses the others
};

}  // namespace olivine::desktop
