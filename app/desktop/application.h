// The program behind the window: what it shows, and what it may do. QML knows it as App.
#pragma once

#include <QObject>
#include <QUrl>
#include <QVariantMap>
#include <QtQml/qqmlregistration.h>
#include <memory>
#include <optional>

#include "app/desktop/answers.h"
#include "app/desktop/assistant.h"
#include "app/desktop/conversation.h"
#include "app/desktop/conversation_list.h"
#include "app/desktop/model_list.h"
#include "app/desktop/picture_tray.h"
#include "app/desktop/preferences.h"
#include "app/desktop/store_thread.h"

namespace olivine::desktop {

struct Options {
    QString data_folder;    // of the conversations and preferences
    std::optional<QString> model;  // a path, in place of the one chosen last
    int context = 0;        // 0: as chosen last
    int device = -1;
    quint64 memory_budget = 0;
};

class Application : public QObject {
    Q_OBJECT
    Q_PROPERTY(olivine::desktop::Conversation* conversation READ conversation CONSTANT)
    Q_PROPERTY(olivine::desktop::ConversationList* conversations READ conversations CONSTANT)
    Q_PROPERTY(olivine::desktop::PictureTray* tray READ tray CONSTANT)
    Q_PROPERTY(olivine::desktop::ModelList* models READ models CONSTANT)
    Q_PROPERTY(olivine::desktop::Preferences* preferences READ preferences CONSTANT)
    Q_PROPERTY(QString version READ version CONSTANT)
    // Of the model: "none", "loading", "ready", "failed".
    Q_PROPERTY(QString modelState READ model_state NOTIFY model_changed)
    Q_PROPERTY(QString modelName READ model_name NOTIFY model_changed)
    Q_PROPERTY(QString modelPath READ model_path NOTIFY model_changed)  // "" is the built-in one
    Q_PROPERTY(double loadProgress READ load_progress NOTIFY progress_changed)
    Q_PROPERTY(QString problem READ problem NOTIFY model_changed)       // why loading failed
    Q_PROPERTY(QString problemDetails READ problem_details NOTIFY model_changed)
    Q_PROPERTY(bool takesPictures READ takes_pictures NOTIFY model_changed)
    Q_PROPERTY(QString device READ device NOTIFY model_changed)
    Q_PROPERTY(QString memory READ memory NOTIFY model_changed)         // "12.3 MiB of 23.5 GiB"
    Q_PROPERTY(int contextLength READ context_length NOTIFY model_changed)
    Q_PROPERTY(int contextWanted READ context_wanted NOTIFY model_changed)  // 0: the default
    Q_PROPERTY(int unsaved READ unsaved NOTIFY unsaved_changed)         // answers that the disk does not take

public:
    explicit Application(const Options& options);
    ~Application() override;

    // Loads the model and the conversations; once the window is there, which they then do not hold up.
    void start();

    Conversation* conversation() { return &conversation_; }
    ConversationList* conversations() { return &list_; }
    PictureTray* tray() { return &tray_; }
    ModelList* models() { return &models_; }
    Preferences* preferences() { return &preferences_; }
    Assistant& assistant() { return assistant_; }
    StoreThread& store() { return store_; }

    QString version() const { return OLIVINE_VERSION; }
    QString model_state() const;
    QString model_name() const;
    QString model_path() const { return assistant_.wanted().path; }
    double load_progress() const { return assistant_.progress(); }
    QString problem() const { return assistant_.problem().text; }
    QString problem_details() const { return assistant_.problem().details; }
    bool takes_pictures() const { return assistant_.facts().pictures; }
    QString device() const;
    QString memory() const;
    int context_length() const { return assistant_.facts().context; }
    int context_wanted() const { return assistant_.wanted().context; }
    int unsaved() const { return answers_.unsaved(); }

    Q_INVOKABLE void load_model(const QString& path, int context);
    Q_INVOKABLE void cancel_load() { assistant_.cancel_load(); }
    // Files and folders for the list; what is no model is told of.
    Q_INVOKABLE void add_places(const QList<QUrl>& urls);
    Q_INVOKABLE void remove_place(const QString& place);
    // With a context of so many tokens; 0: the default.
    Q_INVOKABLE void list_models(int context);
    // What was dropped on the window or pasted: pictures to the tray, a model to be loaded, conversations
    // to be imported.
    Q_INVOKABLE void take_files(const QList<QUrl>& urls);
    Q_INVOKABLE QString clipboard_text() const;

Q_SIGNALS:
    void model_changed();
    void progress_changed();
    void unsaved_changed();
    void started();
    void told(const QString& sentence);                            // passes by
    void failed(const QString& sentence, const QString& details);  // stays until it is closed

private:
    void keep_conversation();

    Preferences preferences_;
    Options options_;
    StoreThread store_;
    Assistant assistant_;
    Answers answers_;
    PictureTray tray_;
    Conversation conversation_;
    ConversationList list_;
    ModelList models_;
};

}  // namespace olivine::desktop
