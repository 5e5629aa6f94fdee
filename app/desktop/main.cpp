// olivine-chat: the window.
#include <QCommandLineParser>
#include <QDir>
#include <QFileInfo>
#include <QGuiApplication>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <cstdio>

#include "app/desktop/application.h"
#include "app/desktop/single_instance.h"
#include "app/desktop/window.h"
#include "app/platform.h"

namespace olivine::desktop {
namespace {

constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2;  // as of the command

int usage(const QString& sentence) {
    std::fprintf(stderr, "olivine-chat: %s\n", sentence.toUtf8().constData());
    std::fprintf(stderr, "olivine-chat: see olivine-chat --help\n");
    return kWrongUsage;
}

int fail_start(const QString& sentence) {
    std::fprintf(stderr, "olivine-chat: %s\n", sentence.toUtf8().constData());
    return kFailed;
}

// "512", "6G": as of the command. None: it is neither.
std::optional<quint64> bytes_of(QString text) {
    quint64 unit = 1;
    if (const auto at = QString("KMG").indexOf(text.right(1).toUpper()); !text.isEmpty() && at >= 0) {
        unit = quint64{1} << (10 * (at + 1));
        text.chop(1);
    }
    bool number = false;
    const double value = text.toDouble(&number);
    if (!number || value <= 0 || value * static_cast<double>(unit) > 1e15)
        return std::nullopt;
    return static_cast<quint64>(value * static_cast<double>(unit));
}

// What a start asks for, of this program or of one that runs already.
void take(const QJsonObject& request, Application& application) {
    if (request["new"].toBool())
        application.conversation()->start_new();
    QList<QUrl> files;
    for (const QJsonValue& file : request["files"].toArray())
        files.append(QUrl::fromLocalFile(file.toString()));
    if (!files.isEmpty())
        application.take_files(files);
}

int run(int argc, char** argv) {
    platform::start();
    QGuiApplication::setApplicationName("olivine-chat");
    QGuiApplication::setApplicationVersion(OLIVINE_VERSION);
    QGuiApplication::setApplicationDisplayName("Olivine");
    QGuiApplication::setDesktopFileName("org.olivine.Chat");
    // Before there is a display to be found: --help needs none.
    QStringList arguments;
    for (int i = 0; i < argc; ++i)
        arguments << QString::fromLocal8Bit(argv[i]);
    QCommandLineParser parser;
    parser.setApplicationDescription("Chat with Gemma 3 and Gemma 2 on your own GPU.");
    const QCommandLineOption help({"h", "help"}, "This list."), version("version", "The version.");
    const QCommandLineOption model({"m", "model"}, "A Hugging Face folder or a .gguf file, in place of the model chosen last.", "MODEL");
    const QCommandLineOption context("ctx", "Tokens of the context.", "N");
    const QCommandLineOption device("device", "The device, numbered as `olivine devices` does.", "N");
    const QCommandLineOption budget("vram-budget", "Device memory to take at most; K, M and G are 1024-based.", "BYTES");
    const QCommandLineOption data("data", "The folder of the conversations, in place of the usual one.", "FOLDER");
    const QCommandLineOption fresh("new", "Begin with a new conversation.");
    parser.addOptions({help, version, model, context, device, budget, data, fresh});
    parser.addPositionalArgument("FILE", "Pictures for the next question, a model, or conversations to import.", "[FILE...]");
    if (!parser.parse(arguments))
        return usage(parser.errorText());
    if (parser.isSet(help)) {
        std::fputs(parser.helpText().replace("<executable_name>", "olivine-chat").toUtf8().constData(), stdout);
        return kDone;
    }
    if (parser.isSet(version)) {
        std::fprintf(stdout, "olivine-chat %s\n", OLIVINE_VERSION);
        return kDone;
    }
    Options options;
    bool number = true;
    if (parser.isSet(model))
        options.model = QDir::cleanPath(QFileInfo(parser.value(model)).absoluteFilePath());
    if (parser.isSet(context))
        options.context = parser.value(context).toInt(&number);
    if (!number || options.context < 0 || options.context > 1'000'000)
        return usage(QString("--ctx is '%1'; it is a number of tokens from 1 to 1000000.").arg(parser.value(context)));
    if (parser.isSet(device))
        options.device = parser.value(device).toInt(&number);
    if (!number || (parser.isSet(device) && options.device < 0))
        return usage(QString("--device is '%1'; it is a number from 0 on.").arg(parser.value(device)));
    if (parser.isSet(budget)) {
        const std::optional<quint64> bytes = bytes_of(parser.value(budget));
        if (!bytes)
            return usage(QString("--vram-budget is '%1'; it is a number of bytes, such as 6G.").arg(parser.value(budget)));
        options.memory_budget = *bytes;
    }
    options.data_folder = parser.isSet(data) ? QDir(parser.value(data)).absolutePath()
                                             : QString::fromStdString(platform::data_folder());
    if (options.data_folder.isEmpty())
        return fail_start("There is no home folder for the conversations; --data FOLDER names one.");

    // Qt would end the process by a signal.
    if (qEnvironmentVariableIsEmpty("QT_QPA_PLATFORM") && !platform::has_display())
        return fail_start("There is no display for the window; `olivine chat` talks in the terminal.");
    choose_renderer();
    QGuiApplication program(argc, argv);
    if (!platform::make_private_folder(options.data_folder.toStdString()))
        return fail_start(QString("%1: the folder of the conversations cannot be made.").arg(options.data_folder));
    SingleInstance instance(options.data_folder);
    QJsonArray files;
    for (const QString& file : parser.positionalArguments())
        files.append(QFileInfo(file).absoluteFilePath());
    const QJsonObject request{{"new", parser.isSet(fresh)}, {"files", files}};
    switch (instance.take(QJsonDocument(request).toJson(QJsonDocument::Compact))) {
    case SingleInstance::Outcome::first: break;
    case SingleInstance::Outcome::asked: return kDone;
    case SingleInstance::Outcome::elsewhere:
        return fail_start(QString("%1: the conversations are open in another program (%2).")
                              .arg(options.data_folder, instance.who()));
    case SingleInstance::Outcome::failed:
        return fail_start(QString("%1: the folder of the conversations cannot be used. %2")
                              .arg(options.data_folder, instance.who()));
    }
    Application application(options);
    Window window(application);
    if (!window.show())
        return fail_start("The window cannot be made.");
    QObject::connect(&instance, &SingleInstance::asked_for, &window, [&](const QByteArray& from_another) {
        take(QJsonDocument::fromJson(from_another).object(), application);
        window.raise();
    });
    QObject::connect(&application, &Application::started, &window, [&] { take(request, application); });
    return QGuiApplication::exec();
}

}  // namespace
}  // namespace olivine::desktop

int main(int argc, char** argv) {
    return olivine::desktop::run(argc, argv);
}
