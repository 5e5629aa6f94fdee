// How far something is, from 0 to 1.
import QtQuick
import Olivine

Rectangle {
    id: bar
    property real value: 0
    property string name
    implicitHeight: 4 * Theme.zoom
    implicitWidth: 160 * Theme.zoom
    radius: height / 2
    color: Theme.hover
    Accessible.role: Accessible.ProgressBar
    Accessible.name: name
    Accessible.description: Math.round(value * 100) + " %"
    Rectangle {
        width: parent.width * Math.max(0, Math.min(1, bar.value))
        height: parent.height
        radius: parent.radius
        color: Theme.accent
    }
}
