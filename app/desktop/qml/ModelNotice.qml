// Below the title: how far loading is, or why there is no model.
import QtQuick
import QtQuick.Layouts
import Olivine

Item {
    id: notice
    signal models_wanted()
    readonly property bool loading: App.modelState === "loading"
    readonly property bool failed: App.modelState === "failed"
    readonly property bool shown: loading || failed || App.unsaved > 0
    implicitHeight: shown ? row.height + 2 * Theme.spacing : 0
    visible: shown
    clip: true

    RowLayout {
        id: row
        x: Theme.spacing * 2
        y: Theme.spacing
        width: parent.width - 4 * Theme.spacing
        spacing: Theme.spacing
        IconGlyph {
            visible: notice.failed || App.unsaved > 0
            symbol: "alert"
            color: Theme.danger
            size: Theme.fontSize * 1.3
        }
        Text {
            objectName: "modelNotice"
            text: notice.loading ? qsTr("Loading %1").arg(App.modelName)
                : notice.failed ? App.problem
                : qsTr("The disk does not take %1 of the answers; they are tried again. Keep the window open.").arg(App.unsaved)
            textFormat: Text.PlainText
            color: Theme.text
            wrapMode: Text.Wrap
            font.pixelSize: Theme.small * 1.08
            Layout.fillWidth: true
            Accessible.role: notice.failed ? Accessible.AlertMessage : Accessible.StaticText
            Accessible.name: text
        }
        Bar {
            visible: notice.loading
            value: App.loadProgress
            name: qsTr("Loading")
        }
        TextButton {
            visible: notice.loading
            text: qsTr("Cancel")
            onClicked: App.cancel_load()
        }
        TextButton {
            visible: notice.failed
            text: qsTr("Copy details")
            onClicked: App.conversation.copy(App.problemDetails)
        }
        TextButton {
            visible: notice.failed
            text: qsTr("Choose a model")
            prominent: true
            onClicked: notice.models_wanted()
        }
    }
}
