import QtQuick
import QtQuick.Controls.Basic
import Olivine

Switch {
    id: toggle
    property string name
    Accessible.name: name
    indicator: Rectangle {
        implicitWidth: 40 * Theme.zoom
        implicitHeight: 22 * Theme.zoom
        y: (toggle.height - height) / 2
        radius: height / 2
        color: toggle.checked ? Theme.accent : Theme.hover
        border.width: toggle.visualFocus ? 2 : 1
        border.color: toggle.visualFocus ? Theme.text : Theme.border
        Rectangle {
            x: toggle.checked ? parent.width - width - 3 * Theme.zoom : 3 * Theme.zoom
            anchors.verticalCenter: parent.verticalCenter
            width: parent.height - 6 * Theme.zoom
            height: width
            radius: width / 2
            color: toggle.checked ? Theme.accentText : Theme.muted
        }
    }
}
