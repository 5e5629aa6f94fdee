// A picture, small.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

AbstractButton {
    id: thumbnail
    required property url source
    required property string name
    property real size: 64 * Theme.zoom
    property real progress: -1  // 0 to 1 while the model looks at it
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
        Bar {
            visible: thumbnail.progress >= 0
            value: thumbnail.progress
            name: qsTr("Looking at the picture")
            anchors { left: parent.left; right: parent.right; bottom: parent.bottom; margins: Theme.spacing }
        }
    }
    ToolTip.text: name
    ToolTip.visible: hovered && name !== ""
    ToolTip.delay: 600
}
