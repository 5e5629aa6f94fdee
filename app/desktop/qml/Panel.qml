// A pop-up in the middle of the window, with a title and a way out.
import QtQuick
import QtQuick.Controls
import QtQuick.Layouts
import Olivine

Popup {
    id: panel
    property string title
    property real wanted_width: 620 * Theme.zoom
    default property alias content: holder.data
    parent: Overlay.overlay
    anchors.centerIn: parent
    width: Math.min(wanted_width, parent.width - 4 * Theme.spacing)
    height: Math.min(implicitHeight, parent.height - 4 * Theme.spacing)
    padding: Theme.spacing * 2
    modal: true
    focus: true
    Overlay.modal: Rectangle { color: Theme.dark ? "#a0000000" : "#60202418" }
    background: Rectangle {
        color: Theme.background
        border.color: Theme.border
        radius: Theme.radius * 1.4
    }
    contentItem: ColumnLayout {
        spacing: Theme.spacing
        RowLayout {
            Layout.fillWidth: true
            Text {
                text: panel.title
                color: Theme.text
                font.pixelSize: Theme.fontSize * 1.2
                font.weight: Font.DemiBold
                Layout.fillWidth: true
                Accessible.role: Accessible.Heading
                Accessible.name: text
            }
            IconButton {
                name: qsTr("Close")
                hint: "Esc"
                symbol: "close"
                onClicked: panel.close()
            }
        }
        ColumnLayout {
            id: holder
            spacing: Theme.spacing
            Layout.fillWidth: true
            Layout.fillHeight: true
        }
    }
}
