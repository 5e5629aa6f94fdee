import QtQuick
import QtQuick.Controls.Basic
import Olivine

ScrollBar {
    id: bar
    minimumSize: 0.04
    implicitWidth: 10 * Theme.zoom
    padding: 2 * Theme.zoom
    visible: size < 1
    Accessible.ignored: true
    contentItem: Rectangle {
        radius: width / 2
        color: Theme.muted
        opacity: bar.pressed ? 0.8 : bar.hovered ? 0.6 : 0.35
    }
    background: null
}
