#include "app/desktop/application.h"

#include <QClipboard>
#include <QDir>
#include <QFileInfo>
#include <QGuiApplication>
#include <algorithm>

#include "app/text.h"

namespace olivine::desktop {

Application::Application(const Options& options)
    : preferences_(options.data_folder + "/olivine-chat.ini"),
      options_(options),
      store_(options.data_folder),
      answers_(assistant_, store_),
      tray_(store_),
      conversation_(answers_, store_, tray_),
      list_(answers_, store_) {
    connect(&assistant_, &Assistant::model_changed, this, &Application::model_changed);
    connect(&assistant_, &Assistant::model_changed, this, [this] {
        // One that could not be loaded is not tried again at the next start.
        if (assistant_.model_state() == Assistant::ModelState::ready && !options_.model)
            preferences_.set_model(assistant_.wanted().path, assistant_.wanted().context);
    });
    connect(&assistant_, &Assistant::load_failed, this,
            [this](const Problem& problem) { Q_EMIT failed(problem.text, problem.details); });
    connect(&assistant_, &Assistant::progress_changed, this, &Application::progress_changed);
    connect(&assistant_, &Assistant::note, this, &Application::told);
    connect(&answers_, &Answers::remark, this, &Application::told);
    connect(&answers_, &Answers::unsaved_changed, this, &Application::unsaved_changed);
    const auto fail_with = [this](const QString& sentence) { Q_EMIT failed(sentence, sentence); };
    connect(&store_, &StoreThread::failed, this, fail_with);
    connect(&tray_, &PictureTray::refused, this, fail_with);
    connect(&conversation_, &Conversation::failed, this, fail_with);
    connect(&conversation_, &Conversation::not_sent, this, fail_with);
    connect(&conversation_, &Conversation::stored, &list_, &ConversationList::reload);
    connect(&conversation_, &Conversation::opened, this, &Application::keep_conversation);
    connect(&conversation_, &Conversation::sent, &tray_, &PictureTray::clear);
    connect(&list_, &ConversationList::failed, this, fail_with);
    connect(&list_, &ConversationList::told, this, &Application::told);
    connect(&list_, &ConversationList::imported, this, [this](qint64 id) { conversation_.open(id); });
    connect(&list_, &ConversationList::gone, this, [this](qint64 id) {
        answers_.stop_all(id);
        if (conversation_.id() == id)
            conversation_.start_new();
    });
}

Application::~Application() {
    answers_.save_all();
    preferences_.save();
}

void Application::start() {
    if (const qint64 last = preferences_.conversation(); last != 0)
        conversation_.open(last);
    list_.reload();
    assistant_.load({options_.model.value_or(preferences_.model()),
                     options_.context > 0 ? options_.context : preferences_.context(), options_.memory_budget,
                     options_.device});
    // What was removed long ago, when the start is over.
    store_.run([](Store& store) { store.purge(24 * 3600); });
    Q_EMIT started();
}

void Application::keep_conversation() {
    if (!conversation_.loading())
        preferences_.set_conversation(conversation_.id());
}

QString Application::model_state() const {
    switch (assistant_.model_state()) {
    case Assistant::ModelState::none: return "none";
    case Assistant::ModelState::loading: return "loading";
    case Assistant::ModelState::ready: return "ready";
    case Assistant::ModelState::failed: return "failed";
    }
    return "none";
}

QString Application::model_name() const {
    const QString path = assistant_.wanted().path;
    // Labels take a tag for one.
    return path.isEmpty() ? tr("Built-in model") : QFileInfo(path).fileName().replace('<', u'‹');
}

QString Application::device() const {
    const ModelFacts& facts = assistant_.facts();
    return facts.software ? tr("CPU (%1)").arg(facts.driver.section(' ', 0, 0)) : facts.device;
}

QString Application::memory() const {
    const ModelFacts& facts = assistant_.facts();
    if (facts.budget == 0)
        return {};
    return tr("%1 of %2").arg(QString::fromStdString(bytes_text(facts.bytes)),
                              QString::fromStdString(bytes_text(facts.budget)));
}

void Application::load_model(const QString& path, int context) {
    options_.model.reset();  // the one of the command line is not the person's choice for the next start
    assistant_.load({path, context, options_.memory_budget, options_.device});
}

void Application::list_models(int context) {
    models_.list({preferences_.places(), context, options_.memory_budget, options_.device, assistant_.facts().bytes});
}

void Application::add_places(const QList<QUrl>& urls) {
    QStringList places = preferences_.places();
    for (const QUrl& url : urls) {
        const QString path = QDir::cleanPath(url.toLocalFile());
        if (!QFileInfo::exists(path))
            Q_EMIT failed(tr("%1 does not exist.").arg(url.toDisplayString()), url.toDisplayString());
        else if (!places.contains(path))
            places.append(path);
    }
    preferences_.set_places(places);
    list_models(context_wanted());
}

void Application::remove_place(const QString& place) {
    QStringList places = preferences_.places();
    places.removeAll(place);
    preferences_.set_places(places);
    list_models(context_wanted());
}

void Application::take_files(const QList<QUrl>& urls) {
    QList<QUrl> pictures;
    for (const QUrl& url : urls) {
        const QFileInfo file(url.toLocalFile());
        const QString suffix = file.suffix().toLower();
        if (url.isLocalFile() && (suffix == "gguf" || (file.isDir() && QFileInfo::exists(file.filePath() + "/config.json")))) {
            add_places({url});
            load_model(QDir::cleanPath(file.filePath()), 0);
        } else if (url.isLocalFile() && suffix == "json") {
            list_.import_from(url);
        } else {
            pictures.append(url);
        }
    }
    if (!pictures.isEmpty())
        tray_.add_files(pictures);
}

QString Application::clipboard_text() const {
    return QGuiApplication::clipboard()->text();
}

}  // namespace olivine::desktop
