// A picture as large as the window lets it be.
import QtQuick
import QtQuick.Controls
import Olivine

Popup {
    id: view
    property url source
    parent: Overlay.overlay
    anchors.centerIn: parent
    width: parent.width - 6 * Theme.spacing
    height: parent.height - 6 * Theme.spacing
    modal: true
    focus: true
    padding: Theme.spacing
    background: Rectangle {
        color: Theme.background
        radius: Theme.radius
    }
    contentItem: Item {
        Image {
            anchors.fill: parent
            source: view.source
            asynchronous: true
            autoTransform: true
            fillMode: Image.PreserveAspectFit
            sourceSize: Qt.size(2048, 2048)
            TapHandler { onTapped: view.close() }
        }
        IconButton {
            anchors { right: parent.right; top: parent.top }
            name: qsTr("Close")
            hint: "Esc"
            symbol: "close"
            onClicked: view.close()
        }
    }
}
