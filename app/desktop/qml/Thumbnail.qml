// A picture, small.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

AbstractButton {
    id: thumbnail
    required property url source
    required property string name
    property real size: 64 * Theme.zoom
    implicitWidth: size
    implicitHeight: size
    focusPolicy: Qt.TabFocus
    Accessible.role: Accessible.Button
    Accessible.name: qsTr("Picture %1").arg(name)
    contentItem: Item {
        Rectangle {
            anchors.fill: parent
            radius: Theme.radius * 0.7
            color: Theme.raised
            border.color: thumbnail.visualFocus ? Theme.accent : Theme.border
            border.width: thumbnail.visualFocus ? 2 : 1
        }
        Image {
            anchors.fill: parent
            anchors.margins: 3 * Theme.zoom
            source: thumbnail.source
            asynchronous: true
            autoTransform: true
            fillMode: Image.PreserveAspectFit
            sourceSize: Qt.size(2 * thumbnail.size, 2 * thumbnail.size)
        }
    }
}
