// Before a turn goes for good.
import QtQuick
import QtQuick.Layouts
import Olivine

Panel {
    id: panel
    property int index: -1
    title: qsTr("Remove for good?")
    wanted_width: 420 * Theme.zoom
    function ask(which) {
        index = which
        open()
        keep.forceActiveFocus()
    }
    Text {
        readonly property int count: App.conversation.count_below(panel.index)
        text: count > 1 ? qsTr("This message and %1 that follow it, in all their versions, are removed. That cannot be undone.").arg(count - 1)
                        : qsTr("This message is removed. That cannot be undone.")
        color: Theme.text
        font.pixelSize: Theme.fontSize
        wrapMode: Text.Wrap
        Layout.fillWidth: true
    }
    RowLayout {
        Layout.alignment: Qt.AlignRight
        spacing: Theme.spacing
        TextButton {
            id: keep
            objectName: "keepTurn"
            text: qsTr("Keep")
            hint: "Esc"
            onClicked: panel.close()
        }
        TextButton {
            objectName: "confirmRemove"
            text: qsTr("Remove")
            symbol: "trash"
            onClicked: {
                App.conversation.remove_turn(panel.index)
                panel.close()
            }
        }
    }
}
