// Something is under way: three dots that take turns, and what it is.
import QtQuick
import Olivine

Row {
    id: waiting
    property alias text: label.text
    spacing: Theme.spacing * 0.5
    Accessible.role: Accessible.StaticText
    Accessible.name: label.text
    property int turn: 0
    Timer {
        interval: 250
        repeat: true
        running: waiting.visible
        onTriggered: waiting.turn = (waiting.turn + 1) % 3
    }
    Repeater {
        model: 3
        Rectangle {
            required property int index
            width: 6 * Theme.zoom
            height: width
            radius: width / 2
            color: Theme.accent
            opacity: waiting.turn === index ? 1 : 0.3
            anchors.verticalCenter: parent.verticalCenter
        }
    }
    Text {
        id: label
        leftPadding: Theme.spacing * 0.5
        color: Theme.muted
        font.pixelSize: Theme.small
        anchors.verticalCenter: parent.verticalCenter
    }
}
