// Sentences that pass by, and errors that stay until they are closed.
import QtQuick
import QtQuick.Layouts
import Olivine

Column {
    id: toasts
    spacing: Theme.spacing * 0.5
    function tell(sentence) { add(sentence, "") }
    function fail(sentence, details) { add(sentence, details || sentence) }
    function add(sentence, details) {
        for (let i = 0; i < shown.count; ++i)
            if (shown.get(i).sentence === sentence)
                shown.remove(i--)
        if (shown.count > 3)
            shown.remove(0)
        shown.append({ sentence: sentence, details: details })
    }
    ListModel { id: shown }
    Repeater {
        model: shown
        Rectangle {
            id: toast
            objectName: "toast"
            required property int index
            required property string sentence
            required property string details
            readonly property bool error: details !== ""
            width: toasts.width
            height: row.height + 2 * Theme.spacing
            radius: Theme.radius
            color: Theme.field
            border.color: error ? Theme.danger : Theme.border
            RowLayout {
                id: row
                x: Theme.spacing * 1.5
                y: Theme.spacing
                width: parent.width - 2 * x
                spacing: Theme.spacing
                IconGlyph {
                    visible: toast.error
                    symbol: "alert"
                    color: Theme.danger
                }
                Text {
                    text: toast.sentence
                    textFormat: Text.PlainText
                    color: Theme.text
                    font.pixelSize: Theme.small * 1.08
                    wrapMode: Text.Wrap
                    Layout.fillWidth: true
                    Accessible.role: Accessible.AlertMessage
                    Accessible.name: text
                }
                TextButton {
                    visible: toast.error
                    text: qsTr("Copy details")
                    onClicked: App.conversation.copy("Olivine " + App.version + "\n" + toast.details)
                }
                IconButton {
                    name: qsTr("Close")
                    symbol: "close"
                    size: Theme.control * 0.8
                    onClicked: shown.remove(toast.index)
                }
            }
            Timer {
                interval: 6000
                running: !toast.error
                onTriggered: shown.remove(toast.index)
            }
        }
    }
}
