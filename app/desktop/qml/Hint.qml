// A tool tip.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

ToolTip {
    id: tip
    delay: 600
    padding: Theme.spacing * 0.75
    contentItem: Text {
        text: tip.text
        color: Theme.background
        font.pixelSize: Theme.small
        wrapMode: Text.Wrap
    }
    background: Rectangle {
        color: Theme.text
        radius: Theme.radius * 0.5
    }
}
