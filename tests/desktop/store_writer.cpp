// store_writer FOLDER [BYTES]: writes questions and answers until it is killed, and says
// "done ID SHA256" after each turn that is stored. With a limit for each file it says "full TEXT"
// when that is reached, for a picture and for the database, and ends with 3.
#include <sys/resource.h>

#include <QCryptographicHash>
#include <QRandomGenerator>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "app/desktop/store.h"

using namespace olivine::desktop;

namespace {

QString words(QRandomGenerator& random, int count) {
    static const QStringList kWords{"olive", "Öl",   "ελιά",   "橄榄",
                                    "🫒",  "\n\n", "`code`", "زيتون"};
    QString text;
    for (int i = 0; i < count; ++i)
        text += kWords[random.bounded(int(kWords.size()))] + ' ';
    return text;
}

void limit_files(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
}

void say_full(const StoreError& error) {
    if (error.kind() != StoreError::Kind::full)
        throw error;
    std::printf("full %s\n", error.what());
    std::fflush(stdout);
}

void write_turn(Store& store, QRandomGenerator& random, qint64 conversation, qint64& last) {
    const QByteArray picture = words(random, 2000).toUtf8();
    MessageRow asked{.conversation = conversation, .parent = last, .text = words(random, 50)};
    if (random.bounded(4) == 0)
        asked.pictures = {store.add_picture(picture, "png", "a.png", 4, 3)};
    MessageRow answered{.conversation = conversation,
                        .parent = Store::kPrevious,
                        .role = Role::model,
                        .state = State::unfinished};
    const QList<qint64> ids = store.add_messages({asked, answered});
    answered.id = last = ids[1];
    for (int i = 0; i < 3; ++i) {
        answered.text += words(random, random.bounded(1, 400));
        answered.token_ids += QByteArray(answered.text.size(), char(i));
        if (i == 2)
            answered.state = State::done;
        store.update_message(answered);
    }
    QCryptographicHash hash(QCryptographicHash::Sha256);
    hash.addData(asked.text.toUtf8());
    hash.addData(answered.text.toUtf8());
    hash.addData(answered.token_ids);
    std::printf("done %lld %s\n", answered.id, hash.result().toHex().constData());
    std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 2)
        return 2;
    Store store(QString::fromLocal8Bit(arguments[1]));
    QRandomGenerator random = QRandomGenerator::securelySeeded();
    const qint64 conversation = store.add_conversation("Written", {}).id;
    if (count > 2) {
        const int bytes = std::atoi(arguments[2]);
        limit_files(static_cast<rlim_t>(bytes));
        try {
            store.add_picture(QByteArray(bytes + 1, 'x'), "png", "too big", 1, 1);
        } catch (const StoreError& error) {
            say_full(error);
        }
    }
    try {
        for (qint64 last = 0;;)
            write_turn(store, random, conversation, last);
    } catch (const StoreError& error) {
        say_full(error);
    }
    return 3;
}
