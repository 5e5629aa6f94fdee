import QtQuick
import QtQuick.Controls.Basic
import Olivine

MenuItem {
    id: item
    property string symbol
    property string keys
    property bool dangerous: false
    implicitHeight: Theme.control
    leftPadding: Theme.spacing
    rightPadding: Theme.spacing
    Accessible.name: text
    contentItem: Row {
        spacing: Theme.spacing
        opacity: item.enabled ? 1 : 0.4
        IconGlyph {
            visible: item.symbol !== ""
            symbol: item.symbol || "more"
            size: Theme.fontSize * 1.1
            color: item.dangerous ? Theme.danger : Theme.muted
            anchors.verticalCenter: parent.verticalCenter
        }
        Text {
            text: item.text
            color: item.dangerous ? Theme.danger : Theme.text
            font.pixelSize: Theme.small * 1.08
            anchors.verticalCenter: parent.verticalCenter
        }
        Text {
            text: item.keys
            visible: text !== ""
            color: Theme.muted
            font.pixelSize: Theme.small
            anchors.verticalCenter: parent.verticalCenter
        }
    }
    background: Rectangle {
        radius: Theme.radius * 0.6
        color: item.highlighted ? Theme.hover : "transparent"
    }
}
